#!/bin/sh
# The cluster of 3nodes-vip.sh without a virtual address, for networks where none can move: standbys follow the promoted node
# by its name, and clients find it by a list of all nodes and target_session_attrs=read-write. Run it once, on any one member
# of a running cluster, after PostgreSQL 13 or newer has been set up on all, with pgsqlms.conf included as the last line of
# postgresql.conf.
#
#   NODES              names of the members; default: srv1 srv2 srv3. PostgreSQL must be reached by them: if it is reached
#                      elsewhere, say so by `pcs node attribute srv2 pgsqlms-address=10.20.30.12`
#   PGDATA             PostgreSQL's data directory; default: the one of the newest version installed
#   FENCE_AGENT        default fence_virsh; see `pcs stonith list`
#   FENCE_OPTIONS      its options; @NODE@ stands for the name of the node to fence
set -eu
NODES=${NODES:-srv1 srv2 srv3}
PG_VERSION=$(ls /usr/lib/postgresql | sort -n | tail -n 1)
PGDATA=${PGDATA:-/var/lib/postgresql/$PG_VERSION/main}
FENCE_AGENT=${FENCE_AGENT:-fence_virsh}
FENCE_OPTIONS=${FENCE_OPTIONS:-ip=10.20.30.1 username=fence identity_file=/root/.ssh/id_fence plug=@NODE@}

# Names of roles before Pacemaker 2.1.
case $(pcs --version) in
0.10.*) promoted=Master unpromoted=Slave ;;
*) promoted=Promoted unpromoted=Unpromoted ;;
esac

# Everything is prepared in a file, checked, and then takes effect at once.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pcs cluster cib "$work/before.xml"
cp "$work/before.xml" "$work/cib.xml"
configure() {
    pcs -f "$work/cib.xml" "$@"
}

# Fencing is on by default. A busy primary is the rule: with the default load-threshold of 80%, Pacemaker does one thing at a time once
# the load average exceeds 1.6 a core.
configure property set no-quorum-policy=stop load-threshold=1000%
configure resource defaults update resource-stickiness=10 migration-threshold=5 failure-timeout=10min

# No node fences itself.
for node in $NODES; do
    # shellcheck disable=SC2046
    configure stonith create "fence-$node" "$FENCE_AGENT" "pcmk_host_list=$node" \
        $(echo "$FENCE_OPTIONS" | sed "s/@NODE@/$node/g") op monitor interval=60s
    configure constraint location "fence-$node" avoids "$node=INFINITY"
done

# A primary that has failed returns by itself. What it alone holds is kept in /var/lib/pgsqlms first.
configure resource create pgsqld ocf:rust:pgsqlms "pgdata=$PGDATA" rejoin=rewind follow=node \
    op start timeout=60s op stop timeout=60s op promote timeout=30s op demote timeout=120s op notify timeout=60s \
    op monitor interval=2s timeout=10s role=$promoted \
    op monitor interval=3s timeout=10s role=$unpromoted \
    promotable
configure resource meta pgsqld-clone notify=true promoted-max=1 "clone-max=$(echo "$NODES" | wc -w)"

crm_verify --xml-file "$work/cib.xml"
pcs cluster cib-push "$work/cib.xml" diff-against="$work/before.xml"
