#!/bin/sh
# Creates the PostgreSQL instance that all nodes start from, and leaves it running so that the standbys can copy it.
# `postgresql-primary.sh stop` shuts it down cleanly afterwards: the cluster manager starts it the next time.
#
#   NETWORK                clients and standbys come from here, as ADDRESS/BITS; required
#   PG_VERSION             default: the newest one installed
#   PGDATA                 default /var/lib/postgresql/VERSION/main
#   REPLICATION_PASSWORD   password of the role replicator; default replicator
#   APP_PASSWORD           password of the role app, owner of the database app; default app
set -eu
PG_VERSION=${PG_VERSION:-$(ls /usr/lib/postgresql | sort -n | tail -n 1)}
PGDATA=${PGDATA:-/var/lib/postgresql/$PG_VERSION/main}
bindir=/usr/lib/postgresql/$PG_VERSION/bin
cd /

as_postgres() {
    runuser -u postgres -- "$@"
}

if [ "${1:-}" = stop ]; then
    as_postgres "$bindir/pg_ctl" stop --silent --pgdata "$PGDATA" --mode fast
    exit
fi

NETWORK=${NETWORK:?NETWORK is required, for example: 10.20.30.0/24}
REPLICATION_PASSWORD=${REPLICATION_PASSWORD:-replicator}
APP_PASSWORD=${APP_PASSWORD:-app}

install -d -o postgres -g postgres -m 750 "$(dirname "$PGDATA")"
as_postgres "$bindir/initdb" --pgdata "$PGDATA" --data-checksums --encoding UTF8 --locale C --auth peer --no-sync >/dev/null

cat >>"$PGDATA/postgresql.conf" <<CONF

# For the cluster.
listen_addresses = '*'
password_encryption = scram-sha-256
unix_socket_directories = '/run/postgresql'
wal_level = replica
wal_log_hints = on
hot_standby = on
max_wal_senders = 20
wal_keep_size = 256MB
max_wal_size = 256MB
wal_retrieve_retry_interval = 500ms
wal_sender_timeout = 10s
wal_receiver_timeout = 10s
recovery_target_timeline = latest
logging_collector = on
log_directory = '/var/log/postgresql'
log_filename = 'postgresql.log'
log_line_prefix = '%m [%p] %q%u@%d %a '
log_replication_commands = on
# What differs from node to node: cluster_name and primary_conninfo.
include_if_exists = '/etc/postgresql/pgsqlms-node.conf'
# Written by the agent, if it is to manage synchronous replication (sync_management=quorum).
include_if_exists = 'pgsqlms.conf'
CONF

# The same on every node. A server that came back must never replicate from itself through the virtual IP.
cat >"$PGDATA/pg_hba.conf" <<CONF
local all         all        peer
host  replication all        samehost   reject
host  replication replicator $NETWORK scram-sha-256
host  all         all        $NETWORK scram-sha-256
CONF

as_postgres "$bindir/pg_ctl" start --silent --pgdata "$PGDATA" --log /var/log/postgresql/start.log
as_postgres "$bindir/psql" --no-psqlrc --quiet --set ON_ERROR_STOP=1 --host /run/postgresql postgres \
    --set replication_password="$REPLICATION_PASSWORD" --set app_password="$APP_PASSWORD" <<'SQL'
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'replication_password';
-- What pg_rewind needs.
GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text, boolean, boolean) TO replicator;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_stat_file(text, boolean) TO replicator;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text) TO replicator;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) TO replicator;
CREATE ROLE app LOGIN PASSWORD :'app_password';
-- To look at the state of replication.
GRANT pg_monitor TO app;
CREATE DATABASE app OWNER app;
SQL
