# fish completion for skydns. Made by `make reference`; change the code, not this file.

# Prints the command that the words on the command line have come to.
function __skydns_command
    set -l command skydns
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch "$command $word"
            case 'skydns --addr' 'skydns --domain' 'skydns --hostmaster' 'skydns --path-prefix' 'skydns --local' 'skydns --identity' 'skydns --nameservers' 'skydns --ndots' 'skydns --allow-query' 'skydns --allow-recursion' 'skydns --rate-limit' 'skydns --lame-duck' 'skydns --ttl' 'skydns --min-ttl' 'skydns --endpoints' 'skydns --ca-file' 'skydns --cert-file' 'skydns --key-file' 'skydns --state-dir' 'skydns --workers' 'skydns --drain-timeout' 'skydns --status-addr' 'skydns --status-tls' 'skydns --revoked-file' 'skydns --log-level' 'skydns --log-format' 'skydns --config'
                set skip 1
        end
    end
    echo $command
end

function __skydns_at
    test (__skydns_command) = "$argv"
end

complete -c skydns -f
complete -c skydns -n '__skydns_at skydns' -l addr -x -d 'Addresses to answer on, over UDP and TCP.'
complete -c skydns -n '__skydns_at skydns' -l domain -x -d 'Domains to be authoritative for.'
complete -c skydns -n '__skydns_at skydns' -l hostmaster -x -d 'Mailbox in the SOA record; the default is hostmaster@DOMAIN.'
complete -c skydns -n '__skydns_at skydns' -l path-prefix -x -d 'Path of the services\' keys.'
complete -c skydns -n '__skydns_at skydns' -l round-robin -l no-round-robin -d 'Rotate the order of addresses in answers.'
complete -c skydns -n '__skydns_at skydns' -l local -x -d 'Name whose records local.dns.DOMAIN returns.'
complete -c skydns -n '__skydns_at skydns' -l apex-sweep -d 'Answer for a domain itself with all services in it.'
complete -c skydns -n '__skydns_at skydns' -l identity -x -d 'Text to send for id.server and NSID; empty to send none.'
complete -c skydns -n '__skydns_at skydns' -l nameservers -x -d 'DNS servers to forward all other names to; by default none.'
complete -c skydns -n '__skydns_at skydns' -l ns-rotate -l no-ns-rotate -d 'Ask the nameservers in rotation.'
complete -c skydns -n '__skydns_at skydns' -l ndots -x -d 'Do not forward names with fewer labels than this.'
complete -c skydns -n '__skydns_at skydns' -l allow-query -x -d 'Networks whose queries are answered; empty for all.'
complete -c skydns -n '__skydns_at skydns' -l allow-recursion -x -d 'Networks whose queries may be forwarded to nameservers and stub zones.'
complete -c skydns -n '__skydns_at skydns' -l rate-limit -x -d 'Limit of equal answers a second to one network over UDP; 0 for none.'
complete -c skydns -n '__skydns_at skydns' -l lame-duck -x -d 'How long to keep answering after /ready fails, before exit.'
complete -c skydns -n '__skydns_at skydns' -l ttl -x -d 'TTL of keys that do not set one.'
complete -c skydns -n '__skydns_at skydns' -l min-ttl -x -d 'TTL of NXDOMAIN and NODATA.'
complete -c skydns -n '__skydns_at skydns' -l endpoints -x -d 'Client URLs of the store, separated by commas.'
complete -c skydns -n '__skydns_at skydns' -l ca-file -r -F -d 'CA certificates that verify the store\'s certificate.'
complete -c skydns -n '__skydns_at skydns' -l cert-file -r -F -d 'Client certificate to present to the store.'
complete -c skydns -n '__skydns_at skydns' -l key-file -r -F -d 'Private key of --cert-file.'
complete -c skydns -n '__skydns_at skydns' -l state-dir -r -f -a '(__fish_complete_directories)' -d 'Directory for the last good copy of the keys; without it, none is kept.'
complete -c skydns -n '__skydns_at skydns' -l workers -x -d 'Number of worker processes.'
complete -c skydns -n '__skydns_at skydns' -l drain-timeout -x -d 'Time limit for finishing work in flight before exit.'
complete -c skydns -n '__skydns_at skydns' -l status-addr -x -d 'Address that serves /health, /ready, /metrics and /debug/state; empty for none.'
complete -c skydns -n '__skydns_at skydns' -l status-tls -r -f -a 'off require' -d 'Whether --status-addr requires TLS, and a certificate of this host or of a viewer.'
complete -c skydns -n '__skydns_at skydns' -l require-tls -d 'Refuse to listen beyond loopback without TLS, where the daemon would only warn.'
complete -c skydns -n '__skydns_at skydns' -l revoked-file -r -F -d 'List of hosts and users whose certificates are refused, also on open connections.'
complete -c skydns -n '__skydns_at skydns' -l log-level -r -f -a 'debug info warning error' -d 'Lowest level to log.'
complete -c skydns -n '__skydns_at skydns' -l log-format -r -f -a 'text json' -d 'Format of log lines.'
complete -c skydns -n '__skydns_at skydns' -l config -r -F -d 'TOML file whose keys are long option names.'
complete -c skydns -n '__skydns_at skydns' -s h -l help -d 'Show this message and exit.'
