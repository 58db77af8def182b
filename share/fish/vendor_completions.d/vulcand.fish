# fish completion for vulcand. Made by `make reference`; change the code, not this file.

# Prints the command that the words on the command line have come to.
function __vulcand_command
    set -l command vulcand
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch "$command $word"
            case 'vulcand --interface' 'vulcand --port' 'vulcand --apiInterface' 'vulcand --api-interface' 'vulcand --apiPort' 'vulcand --api-port' 'vulcand --api-tls' 'vulcand --api-token-file' 'vulcand --host-whitelist' 'vulcand --prefix' 'vulcand --etcdKey' 'vulcand --compat-order' 'vulcand --aliases' 'vulcand --sealKey' 'vulcand --seal-key' 'vulcand --access-log' 'vulcand --access-log-format' 'vulcand --endpoints' 'vulcand --ca-file' 'vulcand --cert-file' 'vulcand --key-file' 'vulcand --state-dir' 'vulcand --workers' 'vulcand --client-connections' 'vulcand --drain-timeout' 'vulcand --status-addr' 'vulcand --status-tls' 'vulcand --revoked-file' 'vulcand --node' 'vulcand --log-level' 'vulcand --log-format' 'vulcand --config'
                set skip 1
        end
    end
    echo $command
end

function __vulcand_at
    test (__vulcand_command) = "$argv"
end

complete -c vulcand -f
complete -c vulcand -n '__vulcand_at vulcand' -l interface -x -d 'Address to serve on.'
complete -c vulcand -n '__vulcand_at vulcand' -l port -x -d 'Port to serve on.'
complete -c vulcand -n '__vulcand_at vulcand' -l apiInterface -l api-interface -x -d 'Address of the API.'
complete -c vulcand -n '__vulcand_at vulcand' -l apiPort -l api-port -x -d 'Port of the API.'
complete -c vulcand -n '__vulcand_at vulcand' -l api-tls -r -f -a 'off require' -d 'Whether the API requires TLS and a certificate of the fleet: of a viewer to read, of an operator to change.'
complete -c vulcand -n '__vulcand_at vulcand' -l api-token-file -r -F -d 'File with the token that clients of the API must send; without it, none is needed.'
complete -c vulcand -n '__vulcand_at vulcand' -l host-whitelist -x -d 'Host names that HTTP requests without TLS may use besides IP addresses, localhost, names without a dot, this host\'s name and advertised names; * for every name.'
complete -c vulcand -n '__vulcand_at vulcand' -l prefix -l etcdKey -x -d 'Prefix of the keys in the store.'
complete -c vulcand -n '__vulcand_at vulcand' -l default-listener -l no-default-listener -d 'Whether to serve on --interface and --port.'
complete -c vulcand -n '__vulcand_at vulcand' -l compat-order -r -f -a 'specific vulcand' -d 'Which of several matching routes wins: the most specific, or as in Go\'s vulcand.'
complete -c vulcand -n '__vulcand_at vulcand' -l aliases -x -d 'A route with TEXT also matches with OTHER in its place.'
complete -c vulcand -n '__vulcand_at vulcand' -l sealKey -l seal-key -x -d 'Keys that open the key pairs of hosts; the first one seals. Prefer VULCAND_SEAL_KEY: other users can read a command line.'
complete -c vulcand -n '__vulcand_at vulcand' -l access-log -x -d 'File to log requests to, one per line; - is standard output.'
complete -c vulcand -n '__vulcand_at vulcand' -l access-log-format -r -f -a 'json combined' -d 'Format of the access log; combined is Apache\'s.'
complete -c vulcand -n '__vulcand_at vulcand' -l endpoints -x -d 'Client URLs of the store, separated by commas.'
complete -c vulcand -n '__vulcand_at vulcand' -l ca-file -r -F -d 'CA certificates that verify the store\'s certificate.'
complete -c vulcand -n '__vulcand_at vulcand' -l cert-file -r -F -d 'Client certificate to present to the store.'
complete -c vulcand -n '__vulcand_at vulcand' -l key-file -r -F -d 'Private key of --cert-file.'
complete -c vulcand -n '__vulcand_at vulcand' -l state-dir -r -f -a '(__fish_complete_directories)' -d 'Directory for the last good copy of the keys; without it, none is kept.'
complete -c vulcand -n '__vulcand_at vulcand' -l workers -x -d 'Number of worker processes.'
complete -c vulcand -n '__vulcand_at vulcand' -l client-connections -x -d 'Connections that a worker accepts from one address; 0 means no limit, for use behind a load balancer.'
complete -c vulcand -n '__vulcand_at vulcand' -l drain-timeout -x -d 'Time limit for finishing work in flight before exit.'
complete -c vulcand -n '__vulcand_at vulcand' -l status-addr -x -d 'Address that serves /health, /ready, /metrics and /debug/state; empty for none.'
complete -c vulcand -n '__vulcand_at vulcand' -l status-tls -r -f -a 'off require' -d 'Whether --status-addr requires TLS, and a certificate of this host or of a viewer.'
complete -c vulcand -n '__vulcand_at vulcand' -l require-tls -d 'Refuse to listen beyond loopback without TLS, where the daemon would only warn.'
complete -c vulcand -n '__vulcand_at vulcand' -l revoked-file -r -F -d 'List of hosts and users whose certificates are refused, also on open connections.'
complete -c vulcand -n '__vulcand_at vulcand' -l node -x -d 'Name of this node in `vctl status`; the default is the host name.'
complete -c vulcand -n '__vulcand_at vulcand' -l log-level -r -f -a 'debug info warning error' -d 'Lowest level to log.'
complete -c vulcand -n '__vulcand_at vulcand' -l log-format -r -f -a 'text json' -d 'Format of log lines.'
complete -c vulcand -n '__vulcand_at vulcand' -l config -r -F -d 'TOML file whose keys are long option names.'
complete -c vulcand -n '__vulcand_at vulcand' -s h -l help -d 'Show this message and exit.'
