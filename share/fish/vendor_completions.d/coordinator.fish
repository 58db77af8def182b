# fish completion for coordinator. Made by `make reference`; change the code, not this file.

# Prints the command that the words on the command line have come to.
function __coordinator_command
    set -l command coordinator
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch "$command $word"
            case 'coordinator --name' 'coordinator --data-dir' 'coordinator --listen-client-urls' 'coordinator --listen-local' 'coordinator --advertise-client-urls' 'coordinator --listen-peer-urls' 'coordinator --initial-advertise-peer-urls' 'coordinator --initial-cluster' 'coordinator --initial-cluster-state' 'coordinator --initial-cluster-token' 'coordinator --discovery' 'coordinator --discovery-srv' 'coordinator --heartbeat-interval' 'coordinator --election-timeout' 'coordinator --snapshot-count' 'coordinator --max-request-bytes' 'coordinator --quota-backend-bytes' 'coordinator --cert-file' 'coordinator --key-file' 'coordinator --trusted-ca-file' 'coordinator --tls' 'coordinator --revoked-file' 'coordinator --peer-cert-file' 'coordinator --peer-key-file' 'coordinator --peer-trusted-ca-file' 'coordinator --host-whitelist' 'coordinator --peer-cert-allowed-cn' 'coordinator --auth' 'coordinator --backup-dir' 'coordinator --backup-interval' 'coordinator --backup-keep' 'coordinator --status-addr' 'coordinator --status-tls' 'coordinator --config' 'coordinator --log-level' 'coordinator --log-format'
                set skip 1
        end
    end
    echo $command
end

function __coordinator_at
    test (__coordinator_command) = "$argv"
end

complete -c coordinator -f
complete -c coordinator -n '__coordinator_at coordinator' -l name -x -d 'Name of this member.'
complete -c coordinator -n '__coordinator_at coordinator' -l data-dir -r -f -a '(__fish_complete_directories)' -d 'Directory of the log and the snapshots.'
complete -c coordinator -n '__coordinator_at coordinator' -l listen-client-urls -x -d 'URLs on which to serve clients.'
complete -c coordinator -n '__coordinator_at coordinator' -l listen-local -x -d 'Unix socket on which root of this host may do everything; no other user may use it.'
complete -c coordinator -n '__coordinator_at coordinator' -l advertise-client-urls -x -d 'URLs that the cluster tells clients to use.'
complete -c coordinator -n '__coordinator_at coordinator' -l listen-peer-urls -x -d 'URLs on which to serve other members.'
complete -c coordinator -n '__coordinator_at coordinator' -l initial-advertise-peer-urls -x -d 'URLs at which other members reach this one; its id is computed from them.'
complete -c coordinator -n '__coordinator_at coordinator' -l initial-cluster -x -d 'The first members and their peer URLs.'
complete -c coordinator -n '__coordinator_at coordinator' -l initial-cluster-state -x -d 'Start a new cluster, or join one after `coordctl member add`.'
complete -c coordinator -n '__coordinator_at coordinator' -l initial-cluster-token -x -d 'Token that distinguishes clusters with the same URLs.'
complete -c coordinator -n '__coordinator_at coordinator' -l discovery -x -d 'URL of a discovery token, to find the first members.'
complete -c coordinator -n '__coordinator_at coordinator' -l discovery-srv -x -d 'Domain whose SRV records name the first members.'
complete -c coordinator -n '__coordinator_at coordinator' -l heartbeat-interval -x -d 'Time between two heartbeats, in milliseconds.'
complete -c coordinator -n '__coordinator_at coordinator' -l election-timeout -x -d 'Milliseconds without a leader after which a member starts an election.'
complete -c coordinator -n '__coordinator_at coordinator' -l snapshot-count -x -d 'Log entries between two snapshots.'
complete -c coordinator -n '__coordinator_at coordinator' -l max-request-bytes -x -d 'Largest value of a key, with the value that it is compared to.'
complete -c coordinator -n '__coordinator_at coordinator' -l quota-backend-bytes -x -d 'What all keys and values may take in memory; beyond it, only deletes are accepted.'
complete -c coordinator -n '__coordinator_at coordinator' -l cert-file -r -F -d 'Certificate for clients.'
complete -c coordinator -n '__coordinator_at coordinator' -l key-file -r -F -d 'Private key of --cert-file.'
complete -c coordinator -n '__coordinator_at coordinator' -l trusted-ca-file -r -F -d 'CA that signed the clients\' certificates.'
complete -c coordinator -n '__coordinator_at coordinator' -l client-cert-auth -d 'Require a certificate from every client.'
complete -c coordinator -n '__coordinator_at coordinator' -l tls -x -d 'TLS on the ports for clients and members: prefer takes plain HTTP on the same port, and dials members with TLS if they have it; require takes TLS only.'
complete -c coordinator -n '__coordinator_at coordinator' -l revoked-file -r -F -d 'List of hosts and users whose certificates are refused, also on open connections.'
complete -c coordinator -n '__coordinator_at coordinator' -l peer-cert-file -r -F -d 'Certificate for connections with other members.'
complete -c coordinator -n '__coordinator_at coordinator' -l peer-key-file -r -F -d 'Private key of --peer-cert-file.'
complete -c coordinator -n '__coordinator_at coordinator' -l peer-trusted-ca-file -r -F -d 'CA that signed the members\' certificates.'
complete -c coordinator -n '__coordinator_at coordinator' -l peer-client-cert-auth -d 'Require a certificate from every member.'
complete -c coordinator -n '__coordinator_at coordinator' -l host-whitelist -x -d 'Host names that HTTP requests without TLS may use besides IP addresses, localhost, names without a dot, this host\'s name and advertised names; * for every name.'
complete -c coordinator -n '__coordinator_at coordinator' -l peer-cert-allowed-cn -x -d 'Common name that every member\'s certificate must have.'
complete -c coordinator -n '__coordinator_at coordinator' -l auth -x -d 'Once auth is enabled: enforce the rights of users, or only log what they would not allow.'
complete -c coordinator -n '__coordinator_at coordinator' -l backup-dir -r -f -a '(__fish_complete_directories)' -d 'Write scheduled backups to this directory.'
complete -c coordinator -n '__coordinator_at coordinator' -l backup-interval -x -d 'Time between two backups.'
complete -c coordinator -n '__coordinator_at coordinator' -l backup-keep -x -d 'How many of the newest backups to keep.'
complete -c coordinator -n '__coordinator_at coordinator' -l status-addr -x -d 'Address that serves /health, /ready, /metrics and /debug/state; empty for none.'
complete -c coordinator -n '__coordinator_at coordinator' -l status-tls -r -f -a 'off require' -d 'Whether --status-addr requires TLS, and a certificate of this host or of a viewer.'
complete -c coordinator -n '__coordinator_at coordinator' -l require-tls -d 'Refuse to listen beyond loopback without TLS, where the daemon would only warn.'
complete -c coordinator -n '__coordinator_at coordinator' -l config -r -F -d 'TOML file whose keys are long option names.'
complete -c coordinator -n '__coordinator_at coordinator' -l log-level -r -f -a 'debug info warning error' -d 'Lowest level to log.'
complete -c coordinator -n '__coordinator_at coordinator' -l log-format -r -f -a 'text json' -d 'Format of log lines.'
complete -c coordinator -n '__coordinator_at coordinator' -s h -l help -d 'Show this message and exit.'
