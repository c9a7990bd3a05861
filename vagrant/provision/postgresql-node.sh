#!/bin/sh
# What belongs to this node and not to the data: its name, and whom its PostgreSQL follows. It lies outside the
# data directory, so a rebuild from another node never overwrites it. Starts nothing.
#
#   VIP                    virtual IP of the primary; required
#   NODE                   name of this node in the cluster; default: uname -n
#   PG_VERSION             default: the newest one installed
#   REPLICATION_PASSWORD   password of the role replicator; default replicator
set -eu
VIP=${VIP:?VIP is required}
NODE=${NODE:-$(uname -n)}
PG_VERSION=${PG_VERSION:-$(ls /usr/lib/postgresql | sort -n | tail -n 1)}
REPLICATION_PASSWORD=${REPLICATION_PASSWORD:-replicator}

# Pacemaker decides when PostgreSQL runs, never the distribution's own units.
systemctl disable postgresql 2>/dev/null || true
# The cluster manager starts PostgreSQL without the unit that would make this directory.
echo 'd /run/postgresql 2775 postgres postgres -' >/etc/tmpfiles.d/pgsqlms.conf
systemd-tmpfiles --create /etc/tmpfiles.d/pgsqlms.conf
install -d -o postgres -g postgres "/etc/postgresql/$PG_VERSION"
# RemoveIPC would delete PostgreSQL's shared memory when a login of postgres ends.
mkdir -p /etc/systemd/logind.conf.d
printf '[Login]\nRemoveIPC=no\n' >/etc/systemd/logind.conf.d/pgsqlms.conf

passfile=/var/lib/postgresql/.pgpass
(
    umask 077
    printf '*:*:*:replicator:%s\n' "$REPLICATION_PASSWORD" >$passfile
)
chown postgres:postgres $passfile

cat >/etc/postgresql/pgsqlms-node.conf <<CONF
cluster_name = '$NODE'
primary_conninfo = 'host=$VIP port=5432 user=replicator application_name=$NODE passfile=$passfile connect_timeout=2 keepalives_idle=1 keepalives_interval=1 keepalives_count=2 tcp_user_timeout=2000'
CONF
