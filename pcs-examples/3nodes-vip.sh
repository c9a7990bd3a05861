#!/bin/sh
# PostgreSQL on three nodes, made highly available: one primary, two standbys, a virtual IP address that follows the
# primary, and fencing. Run it once, on any one member of a running cluster, after PostgreSQL has been set up on all.
#
#   NODES              names of the members; default: srv1 srv2 srv3
#   VIP, VIP_NETMASK   the virtual address and the length of its network's prefix; default 10.20.30.100 and 24
#   PGDATA             PostgreSQL's data directory; default: the one of the newest version installed
#   AGENT              default ocf:rust:pgsqlms; ocf:heartbeat:pgsqlms is PAF
#   FENCE_AGENT        default fence_virsh; see `pcs stonith list`
#   FENCE_OPTIONS      its options; @NODE@ stands for the name of the node to fence
set -eu
NODES=${NODES:-srv1 srv2 srv3}
VIP=${VIP:-10.20.30.100}
VIP_NETMASK=${VIP_NETMASK:-24}
PG_VERSION=$(ls /usr/lib/postgresql | sort -n | tail -n 1)
PGDATA=${PGDATA:-/var/lib/postgresql/$PG_VERSION/main}
AGENT=${AGENT:-ocf:rust:pgsqlms}
FENCE_AGENT=${FENCE_AGENT:-fence_virsh}
FENCE_OPTIONS=${FENCE_OPTIONS:-ip=10.20.30.1 username=fence identity_file=/root/.ssh/id_fence plug=@NODE@}

case $AGENT in
ocf:heartbeat:*)
    # PAF finds nothing by itself, and looking is expensive.
    parameters="pgdata=$PGDATA bindir=/usr/lib/postgresql/$PG_VERSION/bin pghost=/var/run/postgresql"
    promoted_interval=15s unpromoted_interval=16s
    ;;
*)
    # A primary that has failed returns by itself. What it alone holds is kept in /var/lib/pgsqlms first.
    parameters="pgdata=$PGDATA rejoin=rewind"
    promoted_interval=2s unpromoted_interval=3s
    ;;
esac
# Names of roles and options before Pacemaker 2.1.
case $(pcs --version) in
0.10.*) promoted=Master unpromoted=Slave promoted_role=master ;;
*) promoted=Promoted unpromoted=Unpromoted promoted_role=Promoted ;;
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

# shellcheck disable=SC2086
configure resource create pgsqld "$AGENT" $parameters \
    op start timeout=60s op stop timeout=60s op promote timeout=30s op demote timeout=120s op notify timeout=60s \
    op monitor interval=$promoted_interval timeout=10s role=$promoted \
    op monitor interval=$unpromoted_interval timeout=10s role=$unpromoted \
    promotable
configure resource meta pgsqld-clone notify=true promoted-max=1 "clone-max=$(echo "$NODES" | wc -w)"

# The address goes where the primary is. It comes after the promotion and stays until the demotion is over: standbys
# receive the primary's last words through it. `Mandatory` would keep it for ever where the
# demotion is over before Pacemaker computes its transition again.
configure resource create pgsql-vip ocf:heartbeat:IPaddr2 "ip=$VIP" "cidr_netmask=$VIP_NETMASK" op monitor interval=10s
configure constraint colocation add pgsql-vip with $promoted_role pgsqld-clone
configure constraint order promote pgsqld-clone then start pgsql-vip symmetrical=false kind=Mandatory
configure constraint order demote pgsqld-clone then stop pgsql-vip symmetrical=false kind=Optional
# Where a demotion has failed, the stop that follows ends the primary.
configure constraint order stop pgsqld-clone then stop pgsql-vip symmetrical=false kind=Optional

crm_verify --xml-file "$work/cib.xml"
pcs cluster cib-push "$work/cib.xml" diff-against="$work/before.xml"
