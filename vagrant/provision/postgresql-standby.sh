#!/bin/sh
# Copies the running primary and makes the copy a standby. Starts nothing: the cluster manager does.
#
#   PRIMARY                address of the node that runs the primary now; required
#   PG_VERSION             default: the newest one installed
#   PGDATA                 default /var/lib/postgresql/VERSION/main
#   REPLICATION_PASSWORD   password of the role replicator; default replicator
set -eu
PRIMARY=${PRIMARY:?PRIMARY is required}
PG_VERSION=${PG_VERSION:-$(ls /usr/lib/postgresql | sort -n | tail -n 1)}
PGDATA=${PGDATA:-/var/lib/postgresql/$PG_VERSION/main}
export PGPASSWORD="${REPLICATION_PASSWORD:-replicator}"
bindir=/usr/lib/postgresql/$PG_VERSION/bin
cd /

install -d -o postgres -g postgres -m 750 "$(dirname "$PGDATA")"
runuser -u postgres -- "$bindir/pg_basebackup" --pgdata "$PGDATA" --host "$PRIMARY" --username replicator \
    --checkpoint fast --wal-method stream --no-sync
runuser -u postgres -- touch "$PGDATA/standby.signal"
