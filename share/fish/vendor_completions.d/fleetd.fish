# fish completion for fleetd. Made by `make reference`; change the code, not this file.

# Prints the command that the words on the command line have come to.
function __fleetd_command
    set -l command fleetd
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch "$command $word"
            case 'fleetd --metadata' 'fleetd --public-ip' 'fleetd --driver' 'fleetd --trusted-keys' 'fleetd --agent-ttl' 'fleetd --grace' 'fleetd --endpoints' 'fleetd --ca-file' 'fleetd --cert-file' 'fleetd --key-file' 'fleetd --state-dir' 'fleetd --status-addr' 'fleetd --status-tls' 'fleetd --revoked-file' 'fleetd --log-level' 'fleetd --log-format' 'fleetd --drain-timeout' 'fleetd --config'
                set skip 1
        end
    end
    echo $command
end

function __fleetd_at
    test (__fleetd_command) = "$argv"
end

complete -c fleetd -f
complete -c fleetd -n '__fleetd_at fleetd' -l agent -d 'Run the agent, which makes this host follow its plan. Needs root.'
complete -c fleetd -n '__fleetd_at fleetd' -l scheduler -d 'Run a scheduler. Only one scheduler, the leader, is active.'
complete -c fleetd -n '__fleetd_at fleetd' -l metadata -x -d 'Labels of this host, such as region=eu.'
complete -c fleetd -n '__fleetd_at fleetd' -l public-ip -x -d 'Address at which others reach this host; by default the one towards the store.'
complete -c fleetd -n '__fleetd_at fleetd' -l driver -r -f -a 'dbus systemctl' -d 'How the agent talks to systemd.'
complete -c fleetd -n '__fleetd_at fleetd' -l trusted-keys -r -F -d 'Directory of PEM public keys: do only what one of them has signed. Files may come and go at any time; an empty directory trusts nobody.'
complete -c fleetd -n '__fleetd_at fleetd' -l no-exec -d 'Refuse to run commands of `fleetctl exec`.'
complete -c fleetd -n '__fleetd_at fleetd' -l agent-ttl -x -d 'A host that is silent for this long is suspect.'
complete -c fleetd -n '__fleetd_at fleetd' -l grace -x -d 'A host that stays suspect for this long is lost; at least 20.'
complete -c fleetd -n '__fleetd_at fleetd' -l endpoints -x -d 'Client URLs of the store, separated by commas.'
complete -c fleetd -n '__fleetd_at fleetd' -l ca-file -r -F -d 'CA certificates that verify the store\'s certificate.'
complete -c fleetd -n '__fleetd_at fleetd' -l cert-file -r -F -d 'Client certificate to present to the store.'
complete -c fleetd -n '__fleetd_at fleetd' -l key-file -r -F -d 'Private key of --cert-file.'
complete -c fleetd -n '__fleetd_at fleetd' -l state-dir -r -f -a '(__fish_complete_directories)' -d 'Directory of the agent\'s state.'
complete -c fleetd -n '__fleetd_at fleetd' -l status-addr -x -d 'Address that serves /health, /ready, /metrics and /debug/state; empty for none.'
complete -c fleetd -n '__fleetd_at fleetd' -l status-tls -r -f -a 'off require' -d 'Whether --status-addr requires TLS, and a certificate of this host or of a viewer.'
complete -c fleetd -n '__fleetd_at fleetd' -l require-tls -d 'Refuse to listen beyond loopback without TLS, where the daemon would only warn.'
complete -c fleetd -n '__fleetd_at fleetd' -l revoked-file -r -F -d 'List of hosts and users whose certificates are refused, also on open connections.'
complete -c fleetd -n '__fleetd_at fleetd' -l log-level -r -f -a 'debug info warning error' -d 'Lowest level to log.'
complete -c fleetd -n '__fleetd_at fleetd' -l log-format -r -f -a 'text json' -d 'Format of log lines.'
complete -c fleetd -n '__fleetd_at fleetd' -l drain-timeout -x -d 'Time limit for finishing work in flight before exit.'
complete -c fleetd -n '__fleetd_at fleetd' -l config -r -F -d 'TOML file whose keys are long option names.'
complete -c fleetd -n '__fleetd_at fleetd' -l version -d 'Print the version and exit.'
complete -c fleetd -n '__fleetd_at fleetd' -s h -l help -d 'Show this message and exit.'
