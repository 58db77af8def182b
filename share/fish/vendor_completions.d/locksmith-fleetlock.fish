# fish completion for locksmith-fleetlock. Made by `make reference`; change the code, not this file.

# Prints the command that the words on the command line have come to.
function __locksmith_fleetlock_command
    set -l command locksmith-fleetlock
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch "$command $word"
            case 'locksmith-fleetlock --listen' 'locksmith-fleetlock --tls-cert' 'locksmith-fleetlock --tls-key' 'locksmith-fleetlock --client-ca' 'locksmith-fleetlock --revoked-file' 'locksmith-fleetlock --token-file' 'locksmith-fleetlock --host-whitelist' 'locksmith-fleetlock --failure-budget' 'locksmith-fleetlock --store-member' 'locksmith-fleetlock --status-addr' 'locksmith-fleetlock --status-tls' 'locksmith-fleetlock --log-level' 'locksmith-fleetlock --log-format' 'locksmith-fleetlock --drain-timeout' 'locksmith-fleetlock --config' 'locksmith-fleetlock --endpoints' 'locksmith-fleetlock --ca-file' 'locksmith-fleetlock --cert-file' 'locksmith-fleetlock --key-file' 'locksmith-fleetlock --etcd-username' 'locksmith-fleetlock --etcd-password'
                set skip 1
        end
    end
    echo $command
end

function __locksmith_fleetlock_at
    test (__locksmith_fleetlock_command) = "$argv"
end

complete -c locksmith-fleetlock -f
complete -c locksmith-fleetlock -n '__locksmith_fleetlock_at locksmith-fleetlock' -l listen -x -d 'Address for FleetLock clients.'
complete -c locksmith-fleetlock -n '__locksmith_fleetlock_at locksmith-fleetlock' -l tls-cert -r -F -d 'Server certificate; without it, no TLS.'
complete -c locksmith-fleetlock -n '__locksmith_fleetlock_at locksmith-fleetlock' -l tls-key -r -F -d 'Private key of --tls-cert.'
complete -c locksmith-fleetlock -n '__locksmith_fleetlock_at locksmith-fleetlock' -l client-ca -r -F -d 'CA certificates that verify the certificates of clients.'
complete -c locksmith-fleetlock -n '__locksmith_fleetlock_at locksmith-fleetlock' -l revoked-file -r -F -d 'List of hosts and users whose certificates are refused, also on open connections.'
complete -c locksmith-fleetlock -n '__locksmith_fleetlock_at locksmith-fleetlock' -l token-file -r -F -d 'File with the bearer token that clients must send.'
complete -c locksmith-fleetlock -n '__locksmith_fleetlock_at locksmith-fleetlock' -l host-whitelist -x -d 'Host names that HTTP requests without TLS may use besides IP addresses, localhost, names without a dot, this host\'s name and advertised names; * for every name.'
complete -c locksmith-fleetlock -n '__locksmith_fleetlock_at locksmith-fleetlock' -l failure-budget -x -d 'Number of failed hosts that halts their group.'
complete -c locksmith-fleetlock -n '__locksmith_fleetlock_at locksmith-fleetlock' -l store-member -x -d 'Whether the address of a client shows that it runs a member of the store; no if clients come through a proxy.'
complete -c locksmith-fleetlock -n '__locksmith_fleetlock_at locksmith-fleetlock' -l status-addr -x -d 'Address that serves /health, /ready, /metrics and /debug/state; empty for none.'
complete -c locksmith-fleetlock -n '__locksmith_fleetlock_at locksmith-fleetlock' -l status-tls -r -f -a 'off require' -d 'Whether --status-addr requires TLS, and a certificate of this host or of a viewer.'
complete -c locksmith-fleetlock -n '__locksmith_fleetlock_at locksmith-fleetlock' -l require-tls -d 'Refuse to listen beyond loopback without TLS, where the daemon would only warn.'
complete -c locksmith-fleetlock -n '__locksmith_fleetlock_at locksmith-fleetlock' -l log-level -r -f -a 'debug info warning error' -d 'Lowest level to log.'
complete -c locksmith-fleetlock -n '__locksmith_fleetlock_at locksmith-fleetlock' -l log-format -r -f -a 'text json' -d 'Format of log lines.'
complete -c locksmith-fleetlock -n '__locksmith_fleetlock_at locksmith-fleetlock' -l drain-timeout -x -d 'Time limit for finishing work in flight before exit.'
complete -c locksmith-fleetlock -n '__locksmith_fleetlock_at locksmith-fleetlock' -l config -r -F -d 'TOML file whose keys are long option names.'
complete -c locksmith-fleetlock -n '__locksmith_fleetlock_at locksmith-fleetlock' -l version -d 'Print the version and exit.'
complete -c locksmith-fleetlock -n '__locksmith_fleetlock_at locksmith-fleetlock' -l endpoints -x -d 'Client URLs of the store, separated by commas.'
complete -c locksmith-fleetlock -n '__locksmith_fleetlock_at locksmith-fleetlock' -l ca-file -r -F -d 'CA certificates that verify the store\'s certificate.'
complete -c locksmith-fleetlock -n '__locksmith_fleetlock_at locksmith-fleetlock' -l cert-file -r -F -d 'Client certificate to present to the store.'
complete -c locksmith-fleetlock -n '__locksmith_fleetlock_at locksmith-fleetlock' -l key-file -r -F -d 'Private key of --cert-file.'
complete -c locksmith-fleetlock -n '__locksmith_fleetlock_at locksmith-fleetlock' -l etcd-username -x -d 'User name for the store.'
complete -c locksmith-fleetlock -n '__locksmith_fleetlock_at locksmith-fleetlock' -l etcd-password -x -d 'Password for the store; prefer the environment variable.'
complete -c locksmith-fleetlock -n '__locksmith_fleetlock_at locksmith-fleetlock' -s h -l help -d 'Show this message and exit.'
