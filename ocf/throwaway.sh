# shellcheck shell=sh
# Sourced by run-ocft.sh and run-ocf-tester.sh: a throw-away instance of PostgreSQL for one agent to play with.
#
# Sets AGENT (from $1), PGDATA and PGBIN; the instance is removed when the script ends, however it ends.
# PGBIN in the environment chooses one of several installed versions.

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# need PROGRAM PACKAGE
need() {
    command -v "$1" >/dev/null || fail "needs $1 (package $2)"
}

# The newest installed version, unless told otherwise.
find_postgresql() {
    [ -n "${PGBIN:-}" ] || for initdb in /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb /usr/bin/initdb; do
        [ -x "$initdb" ] && echo "${initdb%/initdb}"
    done | sort --version-sort | tail -n 1
    echo "${PGBIN:-}"
}

remove_instance() {
    as_postgres "$PGBIN/pg_ctl" -D "$PGDATA" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$instance"
    # Where the agent had the server write while it was starting.
    rm -f "/var/log/postgresql/pgsqlms-$(echo "${PGDATA#/}" | tr / -).log"
}

as_postgres() {
    runuser -u postgres -- env -C / LC_ALL=C.UTF-8 "$@"
}

AGENT=${1:-/usr/lib/ocf/resource.d/rust/pgsqlms}
[ "$(id -u)" = 0 ] || fail "must be run as root, as Pacemaker runs the agent"
[ -x "$AGENT" ] || fail "no agent at $AGENT (make install)"
PGBIN=$(find_postgresql | head -n 1)
[ -x "$PGBIN/initdb" ] || fail "found no initdb (package postgresql)"

instance=$(mktemp -d /var/tmp/pgsqlms.XXXXXX)
PGDATA=$instance/data
trap remove_instance EXIT
trap 'exit 1' HUP INT TERM
chown postgres: "$instance"

as_postgres "$PGBIN/initdb" --no-sync --auth-local=peer --auth-host=reject -D "$PGDATA" >/dev/null
# A standby needs somebody to follow; nobody listens on port 1. No TCP, so that it can run beside other instances.
as_postgres tee -a "$PGDATA/postgresql.conf" >/dev/null <<EOF
listen_addresses = ''
unix_socket_directories = '$instance'
fsync = off
primary_conninfo = 'host=127.0.0.1 port=1 application_name=$(uname -n)'
EOF
export PGDATA
