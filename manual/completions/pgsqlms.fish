# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_pgsqlms_global_optspecs
    string join \n h/help
end

function __fish_pgsqlms_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_pgsqlms_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_pgsqlms_using_subcommand
    set -l cmd (__fish_pgsqlms_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c pgsqlms -n "__fish_pgsqlms_needs_command" -s h -l help -d 'Print help'
complete -c pgsqlms -n "__fish_pgsqlms_needs_command" -f -a "status" -d 'Shows the state of all nodes, what is wrong, and which command helps'
complete -c pgsqlms -n "__fish_pgsqlms_needs_command" -f -a "why" -d 'Explains why no node is promoted, or which one would be if the primary died now, and the loss by that'
complete -c pgsqlms -n "__fish_pgsqlms_needs_command" -f -a "doctor" -d 'Looks for mistakes in the configuration of the cluster, of this node and of its PostgreSQL, each with a command that cures it'
complete -c pgsqlms -n "__fish_pgsqlms_needs_command" -f -a "switchover" -d 'Makes another node the primary, and waits until the others follow it'
complete -c pgsqlms -n "__fish_pgsqlms_needs_command" -f -a "restart" -d 'Restarts PostgreSQL on one node after the other: the standbys first, then the primary by a switchover'
complete -c pgsqlms -n "__fish_pgsqlms_needs_command" -f -a "promote-anyway" -d 'Promotes a node although the agent refuses to, accepting the loss of what it does not hold'
complete -c pgsqlms -n "__fish_pgsqlms_needs_command" -f -a "forget-history" -d 'Forgets the promotions on record, after pg_upgrade, initdb or a restore of the whole cluster'
complete -c pgsqlms -n "__fish_pgsqlms_needs_command" -f -a "rejoin" -d 'Brings this node back after it has diverged: keeps what it alone holds, and rewinds it to the primary'
complete -c pgsqlms -n "__fish_pgsqlms_needs_command" -f -a "rebuild" -d 'Replaces this node\'s data by a copy of the primary\'s, made by pg_basebackup'
complete -c pgsqlms -n "__fish_pgsqlms_needs_command" -f -a "check" -d 'Answers a proxy whether to send clients to this node'
complete -c pgsqlms -n "__fish_pgsqlms_needs_command" -f -a "metrics" -d 'Prints the state of this node for Prometheus, in its text format'
complete -c pgsqlms -n "__fish_pgsqlms_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand status" -l resource -d 'The resource, or its clone. Not needed where this agent has only one' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand status" -l watch -d 'Show it again every so many seconds (2 unless given), until interrupted' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand status" -l pgdata -d 'The data directory. If not given, the cluster is asked for it' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand status" -l datadir -d 'Where the data is, if not in pgdata' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand status" -l system-user -d 'The account that runs PostgreSQL' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand status" -l pghost -d 'Socket directory or address of the instance' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand status" -l pgport -d 'Port of the instance' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand status" -l json -d 'One object for programs'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand why" -l cib -d 'A saved cluster instead of the running one: what `cibadmin --query` prints, or a `pe-input-*.bz2` of the scheduler' -r -F
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand why" -l resource -d 'The resource, or its clone. Not needed where this agent has only one' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand why" -l pgdata -d 'The data directory. If not given, the cluster is asked for it' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand why" -l datadir -d 'Where the data is, if not in pgdata' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand why" -l system-user -d 'The account that runs PostgreSQL' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand why" -l pghost -d 'Socket directory or address of the instance' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand why" -l pgport -d 'Port of the instance' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand why" -l json -d 'One object for programs'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand why" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand doctor" -l resource -d 'The resource, or its clone. Not needed where this agent has only one' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand doctor" -l pgdata -d 'The data directory. If not given, the cluster is asked for it' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand doctor" -l datadir -d 'Where the data is, if not in pgdata' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand doctor" -l system-user -d 'The account that runs PostgreSQL' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand doctor" -l pghost -d 'Socket directory or address of the instance' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand doctor" -l pgport -d 'Port of the instance' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand doctor" -l before -d 'Before there is a resource: only this node and its PostgreSQL, by --pgdata. It need not run'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand doctor" -l json -d 'One object for programs'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand switchover" -l resource -d 'The resource, or its clone, as it is called in the cluster. Not needed where this agent has only one' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand switchover" -l wait -d 'Give up an instance after so many seconds. A quarter of a minute later Pacemaker does so, too, independently of this command' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand switchover" -l yes -d 'Do it'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand switchover" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand restart" -l resource -d 'The resource, or its clone, as it is called in the cluster. Not needed where this agent has only one' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand restart" -l wait -d 'Give up an instance after so many seconds. A quarter of a minute later Pacemaker does so, too, independently of this command' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand restart" -l pending -d 'Restart only where a changed setting waits for that'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand restart" -l yes -d 'Do it'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand restart" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand promote-anyway" -l resource -d 'The resource, or its clone, as it is called in the cluster. Not needed where this agent has only one' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand promote-anyway" -l node -d 'The node to promote; this one if not given' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand promote-anyway" -l yes -d 'Do it. Without this, only what would be lost is printed'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand promote-anyway" -s h -l help -d 'Print help'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand forget-history" -l resource -d 'The resource, or its clone, as it is called in the cluster. Not needed where this agent has only one' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand forget-history" -l yes -d 'Do it. Without this, only what is on record and what forgetting means is printed'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand forget-history" -s h -l help -d 'Print help'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand rejoin" -l resource -d 'The resource, or its clone, as it is called in the cluster. Not needed where this agent has only one' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand rejoin" -l dry-run -d 'Only print what would be dropped, and what hinders it; this is what happens without --yes'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand rejoin" -l yes -d 'Do it'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand rejoin" -s h -l help -d 'Print help'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand rebuild" -l resource -d 'The resource, or its clone, as it is called in the cluster. Not needed where this agent has only one' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand rebuild" -l yes -d 'Do it'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand rebuild" -l keep-old -d 'Leave the old data beside the new'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand rebuild" -l without-evidence -d 'Drop what only this node holds even if it cannot be kept in evidence_dir first'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand rebuild" -l unattended -d 'The agent has started it, and no operator watches'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand rebuild" -s h -l help -d 'Print help'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand check" -l role -d 'What the clients want. With --http, the request\'s path may say it instead' -r -f -a "primary\t''
replica\t''"
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand check" -l max-lag -d 'How far a replica may be behind: bytes (16777216, 16MB) or seconds (10s); no limit if not given' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand check" -l resource -d 'The resource whose parameters count, where no data directory is given. Not needed where this agent has only one' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand check" -l pgdata -d 'The data directory. If not given, the cluster is asked for it' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand check" -l datadir -d 'Where the data is, if not in pgdata' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand check" -l system-user -d 'The account that runs PostgreSQL' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand check" -l pghost -d 'Socket directory or address of the instance' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand check" -l pgport -d 'Port of the instance' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand check" -l http -d 'Answer an HTTP/1 request on standard input: 200 or 503. The exit code is 0'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand check" -l agent -d 'Answer HAProxy\'s agent-check: up, or down and why. The exit code is 0'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand metrics" -l resource -d 'The resource, or its clone. Not needed where this agent has only one' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand metrics" -l textfile -d 'A file to write instead, for node_exporter\'s textfile collector: it is replaced at once, and never half written' -r -F
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand metrics" -l pgdata -d 'The data directory. If not given, the cluster is asked for it' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand metrics" -l datadir -d 'Where the data is, if not in pgdata' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand metrics" -l system-user -d 'The account that runs PostgreSQL' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand metrics" -l pghost -d 'Socket directory or address of the instance' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand metrics" -l pgport -d 'Port of the instance' -r
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand metrics" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand help; and not __fish_seen_subcommand_from status why doctor switchover restart promote-anyway forget-history rejoin rebuild check metrics help" -f -a "status" -d 'Shows the state of all nodes, what is wrong, and which command helps'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand help; and not __fish_seen_subcommand_from status why doctor switchover restart promote-anyway forget-history rejoin rebuild check metrics help" -f -a "why" -d 'Explains why no node is promoted, or which one would be if the primary died now, and the loss by that'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand help; and not __fish_seen_subcommand_from status why doctor switchover restart promote-anyway forget-history rejoin rebuild check metrics help" -f -a "doctor" -d 'Looks for mistakes in the configuration of the cluster, of this node and of its PostgreSQL, each with a command that cures it'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand help; and not __fish_seen_subcommand_from status why doctor switchover restart promote-anyway forget-history rejoin rebuild check metrics help" -f -a "switchover" -d 'Makes another node the primary, and waits until the others follow it'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand help; and not __fish_seen_subcommand_from status why doctor switchover restart promote-anyway forget-history rejoin rebuild check metrics help" -f -a "restart" -d 'Restarts PostgreSQL on one node after the other: the standbys first, then the primary by a switchover'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand help; and not __fish_seen_subcommand_from status why doctor switchover restart promote-anyway forget-history rejoin rebuild check metrics help" -f -a "promote-anyway" -d 'Promotes a node although the agent refuses to, accepting the loss of what it does not hold'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand help; and not __fish_seen_subcommand_from status why doctor switchover restart promote-anyway forget-history rejoin rebuild check metrics help" -f -a "forget-history" -d 'Forgets the promotions on record, after pg_upgrade, initdb or a restore of the whole cluster'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand help; and not __fish_seen_subcommand_from status why doctor switchover restart promote-anyway forget-history rejoin rebuild check metrics help" -f -a "rejoin" -d 'Brings this node back after it has diverged: keeps what it alone holds, and rewinds it to the primary'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand help; and not __fish_seen_subcommand_from status why doctor switchover restart promote-anyway forget-history rejoin rebuild check metrics help" -f -a "rebuild" -d 'Replaces this node\'s data by a copy of the primary\'s, made by pg_basebackup'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand help; and not __fish_seen_subcommand_from status why doctor switchover restart promote-anyway forget-history rejoin rebuild check metrics help" -f -a "check" -d 'Answers a proxy whether to send clients to this node'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand help; and not __fish_seen_subcommand_from status why doctor switchover restart promote-anyway forget-history rejoin rebuild check metrics help" -f -a "metrics" -d 'Prints the state of this node for Prometheus, in its text format'
complete -c pgsqlms -n "__fish_pgsqlms_using_subcommand help; and not __fish_seen_subcommand_from status why doctor switchover restart promote-anyway forget-history rejoin rebuild check metrics help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
