#!/bin/sh
# The cluster of 3nodes-vip.sh for those who prefer crmsh: the same resources and constraints under the same names. Run it
# once, on any one member of a running cluster, after PostgreSQL has been set up on all. Needs Pacemaker 2.1 or newer.
#
#   NODES              names of the members; default: srv1 srv2 srv3
#   VIP, VIP_NETMASK   the virtual address and the length of its network's prefix; default 10.20.30.100 and 24
#   PGDATA             PostgreSQL's data directory; default: the one of the newest version installed
#   AGENT              default ocf:rust:pgsqlms; ocf:heartbeat:pgsqlms is PAF
#   FENCE_AGENT        default fence_virsh; see `crm ra list stonith`
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

configuration() {
    # Fencing is on by default. A busy primary is the rule: with the default load-threshold of 80%, Pacemaker does one thing at
    # a time once the load average exceeds 1.6 a core.
    echo "property no-quorum-policy=stop load-threshold=1000%"
    echo "rsc_defaults resource-stickiness=10 migration-threshold=5 failure-timeout=10min"
    # No node fences itself.
    for node in $NODES; do
        options=$(echo "$FENCE_OPTIONS" | sed "s/@NODE@/$node/g")
        echo "primitive fence-$node stonith:$FENCE_AGENT params pcmk_host_list=$node $options op monitor interval=60s"
        echo "location fence-$node-elsewhere fence-$node -inf: $node"
    done
    # The address goes where the primary is. It comes after the promotion and stays until the demotion is over:
    # standbys receive the primary's last words through it. `Mandatory` would keep it for ever where the
    # demotion is over before Pacemaker computes its transition again.
    cat <<CRM
primitive pgsqld $AGENT params $parameters \
    op start timeout=60s interval=0 op stop timeout=60s interval=0 \
    op promote timeout=30s interval=0 op demote timeout=120s interval=0 op notify timeout=60s interval=0 \
    op monitor interval=$promoted_interval timeout=10s role=Promoted \
    op monitor interval=$unpromoted_interval timeout=10s role=Unpromoted
clone pgsqld-clone pgsqld meta promotable=true notify=true promoted-max=1 clone-max=$(echo "$NODES" | wc -w)
primitive pgsql-vip ocf:heartbeat:IPaddr2 params ip=$VIP cidr_netmask=$VIP_NETMASK op monitor interval=10s
colocation pgsql-vip-with-primary inf: pgsql-vip:Started pgsqld-clone:Promoted
order promote-then-vip Mandatory: pgsqld-clone:promote pgsql-vip:start symmetrical=false
order demote-then-vip Optional: pgsqld-clone:demote pgsql-vip:stop symmetrical=false
order stop-then-vip Optional: pgsqld-clone:stop pgsql-vip:stop symmetrical=false
CRM
}

configuration | crm --force configure load update -
