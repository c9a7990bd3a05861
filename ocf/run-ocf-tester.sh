#!/bin/sh
# Runs ocf-tester on the agent with a throw-away instance of PostgreSQL. Needs no cluster.
#
#   ocf/run-ocf-tester.sh [/full/path/to/pgsqlms [OPTION OF OCF-TESTER...]]

set -eu
# shellcheck source=ocf/throwaway.sh
. "$(dirname "$0")/throwaway.sh"
need ocf-tester resource-agents
need xmllint libxml2-utils

[ $# -eq 0 ] || shift
# The agent need not be installed.
XML_CATALOG_FILES=$(cd "$(dirname "$0")" && pwd)/catalog.xml
export XML_CATALOG_FILES
ocf-tester -n pgsql -o pgdata="$PGDATA" "$@" "$AGENT"
