# fish completion for skydnsctl. Made by `make reference`; change the code, not this file.

# Prints the command that the words on the command line have come to.
function __skydnsctl_command
    set -l command skydnsctl
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch "$command $word"
            case 'skydnsctl add --host' 'skydnsctl add --port' 'skydnsctl add --priority' 'skydnsctl add --weight' 'skydnsctl add --text' 'skydnsctl add --ttl' 'skydnsctl add --targetstrip' 'skydnsctl add --group' 'skydnsctl add --key-ttl' 'skydnsctl add --path-prefix' 'skydnsctl add --endpoints' 'skydnsctl add --ca-file' 'skydnsctl add --cert-file' 'skydnsctl add --key-file' 'skydnsctl list --path-prefix' 'skydnsctl list --endpoints' 'skydnsctl list --ca-file' 'skydnsctl list --cert-file' 'skydnsctl list --key-file' 'skydnsctl rm --path-prefix' 'skydnsctl rm --endpoints' 'skydnsctl rm --ca-file' 'skydnsctl rm --cert-file' 'skydnsctl rm --key-file' 'skydnsctl lint --domain' 'skydnsctl lint --path-prefix' 'skydnsctl lint --endpoints' 'skydnsctl lint --ca-file' 'skydnsctl lint --cert-file' 'skydnsctl lint --key-file' 'skydnsctl explain --server' 'skydnsctl top --status-addr' 'skydnsctl top --status-tls' 'skydnsctl top --ca-file' 'skydnsctl top --cert-file' 'skydnsctl top --key-file'
                set skip 1
            case 'skydnsctl add' 'skydnsctl list' 'skydnsctl rm' 'skydnsctl lint' 'skydnsctl explain' 'skydnsctl top'
                set command "$command $word"
        end
    end
    echo $command
end

function __skydnsctl_at
    test (__skydnsctl_command) = "$argv"
end

complete -c skydnsctl -f
complete -c skydnsctl -n '__skydnsctl_at skydnsctl' -a add -d 'Write one record'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl' -a list -d 'List records, each with the index of its last write'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl' -a rm -d 'Remove a record, or with --recursive everything below a name'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl' -a lint -d 'List keys that are wrong, with the reasons'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl' -a explain -d 'Show why skydns answers as it does'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl' -a top -d 'Show the most frequent questions and clients'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl' -s h -l help -d 'Show this message and exit.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl add' -l host -x -d 'Address or name that the record points to.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl add' -l port -x -d 'Port in the SRV record.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl add' -l priority -x -d 'Priority in SRV and MX records; 0 means the server\'s default.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl add' -l weight -x -d 'Weight in the SRV record; 0 means the server\'s default.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl add' -l text -x -d 'Text of the TXT record.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl add' -l mail -d 'Also make it an MX record.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl add' -l ttl -x -d 'TTL in seconds; 0 means the server\'s default.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl add' -l targetstrip -x -d 'Labels to drop from the left of the target.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl add' -l group -x -d 'Group of the record.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl add' -l key-ttl -x -d 'Remove the key after this time.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl add' -l force -d 'Overwrite a record that exists.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl add' -l path-prefix -x -d 'Path of the services\' keys.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl add' -l endpoints -x -d 'Client URLs of the store, separated by commas.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl add' -l ca-file -r -F -d 'CA certificates that verify the store\'s certificate.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl add' -l cert-file -r -F -d 'Client certificate to present to the store.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl add' -l key-file -r -F -d 'Private key of --cert-file.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl add' -s h -l help -d 'Show this message and exit.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl list' -l json -d 'Print JSON.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl list' -l path-prefix -x -d 'Path of the services\' keys.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl list' -l endpoints -x -d 'Client URLs of the store, separated by commas.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl list' -l ca-file -r -F -d 'CA certificates that verify the store\'s certificate.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl list' -l cert-file -r -F -d 'Client certificate to present to the store.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl list' -l key-file -r -F -d 'Private key of --cert-file.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl list' -s h -l help -d 'Show this message and exit.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl rm' -s r -l recursive -d 'Remove everything below the name too.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl rm' -l path-prefix -x -d 'Path of the services\' keys.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl rm' -l endpoints -x -d 'Client URLs of the store, separated by commas.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl rm' -l ca-file -r -F -d 'CA certificates that verify the store\'s certificate.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl rm' -l cert-file -r -F -d 'Client certificate to present to the store.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl rm' -l key-file -r -F -d 'Private key of --cert-file.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl rm' -s h -l help -d 'Show this message and exit.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl lint' -l json -d 'Print JSON.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl lint' -l domain -x -d 'Domains that skydns answers for; those of its settings in the store go first.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl lint' -l path-prefix -x -d 'Path of the services\' keys.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl lint' -l endpoints -x -d 'Client URLs of the store, separated by commas.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl lint' -l ca-file -r -F -d 'CA certificates that verify the store\'s certificate.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl lint' -l cert-file -r -F -d 'Client certificate to present to the store.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl lint' -l key-file -r -F -d 'Private key of --cert-file.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl lint' -s h -l help -d 'Show this message and exit.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl explain' -l json -d 'Print JSON.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl explain' -l server -x -d 'Address of skydns, on this host.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl explain' -s h -l help -d 'Show this message and exit.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl top' -l json -d 'Print JSON.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl top' -l status-addr -x -d 'The status page of the daemon.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl top' -l status-tls -r -f -a 'off require' -d 'Whether --status-addr requires TLS, and a certificate of this host or of a viewer.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl top' -l ca-file -r -F -d 'CA certificates that verify the store\'s certificate.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl top' -l cert-file -r -F -d 'Client certificate to present to the store.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl top' -l key-file -r -F -d 'Private key of --cert-file.'
complete -c skydnsctl -n '__skydnsctl_at skydnsctl top' -s h -l help -d 'Show this message and exit.'
