#!/bin/sh
# Makes this machine a member of the cluster: corosync.conf, the cluster's key, Pacemaker's unit, a first CIB. Starts nothing.
#
#   CLUSTER       name of the cluster; default pgsqlms
#   NODES         every member as NAME=ADDRESS, separated by blanks; required, and the same on all members
#   SECRET        the cluster's key is made from it; required, and the same on all members
#   PROFILE       steady or fast, see docs/concepts/membership.md; default steady
#   TOKEN         milliseconds until a silent member is asked for; default 1000, with the fast profile 300
#   CONSENSUS     milliseconds that it then has to answer before it is given up; default 1200, with the fast profile 360
#   REALTIME      whether Corosync has realtime priority; default yes, and no where many members share few processors
#   DC_DEADTIME   how long a first election waits for missing members (Pacemaker's default is 20s); default 2s
set -eu
CLUSTER=${CLUSTER:-pgsqlms}
NODES=${NODES:?NODES is required, for example: srv1=10.20.30.11 srv2=10.20.30.12 srv3=10.20.30.13}
SECRET=${SECRET:?SECRET is required}
case ${PROFILE:-steady} in
steady) token=1000 consensus=1200 ;;
fast) token=300 consensus=360 ;;
*) echo "PROFILE is steady or fast, not $PROFILE" >&2 && exit 2 ;;
esac
TOKEN=${TOKEN:-$token}
CONSENSUS=${CONSENSUS:-$consensus}
REALTIME=${REALTIME:-yes}
DC_DEADTIME=${DC_DEADTIME:-2s}

members=0
nodelist=
for node in $NODES; do
    members=$((members + 1))
    nodelist="$nodelist
    node {
        nodeid: $members
        name: ${node%%=*}
        ring0_addr: ${node#*=}
    }"
done
two_node=0
[ $members -gt 2 ] || two_node=1

mkdir -p /etc/corosync
cat >/etc/corosync/corosync.conf <<CONF
totem {
    version: 2
    cluster_name: $CLUSTER
    transport: knet
    crypto_cipher: aes256
    crypto_hash: sha256
    token: $TOKEN
    # By default each member beyond the second adds 650 ms to the token.
    token_coefficient: 0
    consensus: $CONSENSUS
}
nodelist {$nodelist
}
system {
    sched_rr: $REALTIME
}
quorum {
    provider: corosync_votequorum
    two_node: $two_node
}
logging {
    to_logfile: yes
    logfile: /var/log/corosync/corosync.log
    to_syslog: yes
    timestamp: hires
}
CONF

(
    umask 077
    printf %s "$SECRET" | sha512sum | cut -c 1-128 | tr -d '\n' >/etc/corosync/authkey
)

# One backend that the kernel kills for its memory is PostgreSQL's business: systemd would stop Pacemaker for it.
drop_in=/etc/systemd/system/pacemaker.service.d
mkdir -p $drop_in
printf '[Service]\nOOMPolicy=continue\n' >$drop_in/oom.conf
[ ! -d /run/systemd/system ] || systemctl daemon-reload

# Only for the very first start: later the cluster's own CIB counts.
cib=/var/lib/pacemaker/cib/cib.xml
if [ ! -e $cib ]; then
    cibadmin --empty >$cib
    CIB_file=$cib crm_attribute --type crm_config --name dc-deadtime --update "$DC_DEADTIME"
    rm -f $cib.sig
    chown hacluster:haclient $cib
    chmod 600 $cib
fi
