#!/bin/sh
# Runs the cases of pgsqlms.ocft on the agent with a throw-away instance of PostgreSQL. Needs no cluster.
#
#   ocf/run-ocft.sh [/full/path/to/pgsqlms [OPTION OF OCFT TEST...]]

set -eu
cases=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=ocf/throwaway.sh
. "$cases/throwaway.sh"
need ocft resource-agents

[ "${AGENT##*/}" = pgsqlms ] || fail "the agent must be called pgsqlms"
export AGENT_ROOT="${AGENT%/*}"
# Where ocft writes the agent's output and where it looks for it after a failure are the same place only with this.
export HA_RSCTMP=/tmp

[ $# -eq 0 ] || shift
ocft clean pgsqlms.ocft
ocft make -d "$cases" pgsqlms.ocft
status=0
ocft test "$@" pgsqlms.ocft || status=$?
ocft clean pgsqlms.ocft
rm -f /tmp/.ocft_runlog /var/lib/resource-agents/ocft/cases/logs/pgsqlms.ocft.log
exit "$status"
