#!/bin/sh
# Installs what a cluster node needs: Pacemaker, Corosync, pcs, crmsh, PostgreSQL and PAF (to compare with).
# Nothing is started or enabled, and no PostgreSQL cluster is created: the other scripts decide that.
#
#   PG_VERSION   major version of PostgreSQL; default: what the distribution has
set -eu
export DEBIAN_FRONTEND=noninteractive
PG_VERSION=${PG_VERSION:-}

# Packages start their services while being installed, unless told otherwise.
policy=/usr/sbin/policy-rc.d
printf '#!/bin/sh\nexit 101\n' >$policy
chmod 755 $policy
trap 'rm -f $policy' EXIT

mkdir -p /etc/postgresql-common
echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf

apt-get update
postgresql=postgresql${PG_VERSION:+-$PG_VERSION}
apt-get install --yes --no-install-recommends \
    systemd systemd-sysv dbus procps iproute2 iputils-ping nftables ca-certificates \
    pacemaker pacemaker-cli-utils corosync pcs crmsh resource-agents resource-agents-paf \
    "$postgresql" libxml2-utils strace
apt-get clean
rm -rf /var/lib/apt/lists/*

systemctl disable corosync pacemaker pcsd postgresql 2>/dev/null
