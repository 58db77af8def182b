# fish completion for confd. Made by `make reference`; change the code, not this file.

# Prints the command that the words on the command line have come to.
function __confd_command
    set -l command confd
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch "$command $word"
            case 'confd --confdir' 'confd --prefix' 'confd --interval' 'confd --check-cmd-timeout' 'confd --reload-cmd-timeout' 'confd --render-timeout' 'confd --state-dir' 'confd --endpoints' 'confd --ca-file' 'confd --cert-file' 'confd --key-file' 'confd --status-addr' 'confd --status-tls' 'confd --revoked-file' 'confd --drain-timeout' 'confd --wait' 'confd --source' 'confd --config' 'confd --log-level' 'confd --log-format' 'confd noop --confdir' 'confd noop --prefix' 'confd noop --source' 'confd noop --state-dir' 'confd noop --endpoints' 'confd noop --ca-file' 'confd noop --cert-file' 'confd noop --key-file' 'confd test --confdir' 'confd test --prefix' 'confd graph --confdir' 'confd graph --prefix' 'confd graph --source' 'confd graph --endpoints' 'confd graph --ca-file' 'confd graph --cert-file' 'confd graph --key-file' 'confd why --confdir' 'confd why --prefix' 'confd why --source' 'confd why --endpoints' 'confd why --ca-file' 'confd why --cert-file' 'confd why --key-file'
                set skip 1
            case 'confd noop' 'confd test' 'confd graph' 'confd why' 'confd convert'
                set command "$command $word"
        end
    end
    echo $command
end

function __confd_at
    test (__confd_command) = "$argv"
end

complete -c confd -f
complete -c confd -n '__confd_at confd' -a noop -d 'Show what would change, as a diff'
complete -c confd -n '__confd_at confd' -a test -d 'Run the templates\' test cases, without a store'
complete -c confd -n '__confd_at confd' -a graph -d 'Show which keys each file depends on'
complete -c confd -n '__confd_at confd' -a why -d 'Show which resource and which keys a file depends on'
complete -c confd -n '__confd_at confd' -a convert -d 'Print a Go template as a Jinja2 template'
complete -c confd -n '__confd_at confd' -l confdir -x -d 'Directory that contains conf.d/ and templates/.'
complete -c confd -n '__confd_at confd' -l prefix -x -d 'Key prefix of every resource; overrides the resources\' own.'
complete -c confd -n '__confd_at confd' -l onetime -d 'Process every resource once and exit.'
complete -c confd -n '__confd_at confd' -l watch -d 'Follow the keys, and render changes as they happen.'
complete -c confd -n '__confd_at confd' -l interval -x -d 'Time between full passes; 0 turns them off.'
complete -c confd -n '__confd_at confd' -l noop -d 'Only report what would change.'
complete -c confd -n '__confd_at confd' -l sync-only -d 'Write files, but run no check or reload commands.'
complete -c confd -n '__confd_at confd' -l keep-stage-file -d 'Keep staged files that were not put in place.'
complete -c confd -n '__confd_at confd' -l check-cmd-timeout -x -d 'Time limit of each check_cmd.'
complete -c confd -n '__confd_at confd' -l reload-cmd-timeout -x -d 'Time limit of each reload_cmd.'
complete -c confd -n '__confd_at confd' -l render-timeout -x -d 'Time limit of rendering a resource.'
complete -c confd -n '__confd_at confd' -l state-dir -r -f -a '(__fish_complete_directories)' -d 'Directory that keeps the last keys and owed reloads across restarts.'
complete -c confd -n '__confd_at confd' -l endpoints -x -d 'Client URLs of the store, separated by commas.'
complete -c confd -n '__confd_at confd' -l ca-file -r -F -d 'CA certificates that verify the store\'s certificate.'
complete -c confd -n '__confd_at confd' -l cert-file -r -F -d 'Client certificate to present to the store.'
complete -c confd -n '__confd_at confd' -l key-file -r -F -d 'Private key of --cert-file.'
complete -c confd -n '__confd_at confd' -l status-addr -x -d 'Address that serves /health, /ready, /metrics and /debug/state; empty for none.'
complete -c confd -n '__confd_at confd' -l status-tls -r -f -a 'off require' -d 'Whether --status-addr requires TLS, and a certificate of this host or of a viewer.'
complete -c confd -n '__confd_at confd' -l require-tls -d 'Refuse to listen beyond loopback without TLS, where the daemon would only warn.'
complete -c confd -n '__confd_at confd' -l revoked-file -r -F -d 'List of hosts and users whose certificates are refused, also on open connections.'
complete -c confd -n '__confd_at confd' -l drain-timeout -x -d 'Time limit for finishing work in flight before exit.'
complete -c confd -n '__confd_at confd' -l wait -x -d 'Wait until keys have not changed for MIN, but at most MAX, before rendering.'
complete -c confd -n '__confd_at confd' -l source -x -d 'Where keys come from: env, file:/PATH, store. A later source overrides an earlier.'
complete -c confd -n '__confd_at confd' -l config -r -F -d 'TOML file whose keys are long option names.'
complete -c confd -n '__confd_at confd' -l log-level -r -f -a 'debug info warning error' -d 'Lowest level to log.'
complete -c confd -n '__confd_at confd' -l log-format -r -f -a 'text json' -d 'Format of log lines.'
complete -c confd -n '__confd_at confd' -s h -l help -d 'Show this message and exit.'
complete -c confd -n '__confd_at confd noop' -l confdir -x -d 'Directory that contains conf.d/ and templates/.'
complete -c confd -n '__confd_at confd noop' -l prefix -x -d 'Key prefix of every resource; overrides the resources\' own.'
complete -c confd -n '__confd_at confd noop' -l source -x -d 'Where keys come from: env, file:/PATH, store. A later source overrides an earlier.'
complete -c confd -n '__confd_at confd noop' -l state-dir -r -f -a '(__fish_complete_directories)' -d 'Directory that keeps the last keys and owed reloads across restarts.'
complete -c confd -n '__confd_at confd noop' -l color -l no-color -d 'Use colours; by default only on a terminal.'
complete -c confd -n '__confd_at confd noop' -l endpoints -x -d 'Client URLs of the store, separated by commas.'
complete -c confd -n '__confd_at confd noop' -l ca-file -r -F -d 'CA certificates that verify the store\'s certificate.'
complete -c confd -n '__confd_at confd noop' -l cert-file -r -F -d 'Client certificate to present to the store.'
complete -c confd -n '__confd_at confd noop' -l key-file -r -F -d 'Private key of --cert-file.'
complete -c confd -n '__confd_at confd noop' -s h -l help -d 'Show this message and exit.'
complete -c confd -n '__confd_at confd test' -l confdir -x -d 'Directory that contains conf.d/ and templates/.'
complete -c confd -n '__confd_at confd test' -l prefix -x -d 'Key prefix of every resource; overrides the resources\' own.'
complete -c confd -n '__confd_at confd test' -s h -l help -d 'Show this message and exit.'
complete -c confd -n '__confd_at confd graph' -l confdir -x -d 'Directory that contains conf.d/ and templates/.'
complete -c confd -n '__confd_at confd graph' -l prefix -x -d 'Key prefix of every resource; overrides the resources\' own.'
complete -c confd -n '__confd_at confd graph' -l source -x -d 'Where keys come from: env, file:/PATH, store. A later source overrides an earlier.'
complete -c confd -n '__confd_at confd graph' -l json -d 'Print JSON instead of Graphviz\'s DOT.'
complete -c confd -n '__confd_at confd graph' -l endpoints -x -d 'Client URLs of the store, separated by commas.'
complete -c confd -n '__confd_at confd graph' -l ca-file -r -F -d 'CA certificates that verify the store\'s certificate.'
complete -c confd -n '__confd_at confd graph' -l cert-file -r -F -d 'Client certificate to present to the store.'
complete -c confd -n '__confd_at confd graph' -l key-file -r -F -d 'Private key of --cert-file.'
complete -c confd -n '__confd_at confd graph' -s h -l help -d 'Show this message and exit.'
complete -c confd -n '__confd_at confd why' -l confdir -x -d 'Directory that contains conf.d/ and templates/.'
complete -c confd -n '__confd_at confd why' -l prefix -x -d 'Key prefix of every resource; overrides the resources\' own.'
complete -c confd -n '__confd_at confd why' -l source -x -d 'Where keys come from: env, file:/PATH, store. A later source overrides an earlier.'
complete -c confd -n '__confd_at confd why' -l endpoints -x -d 'Client URLs of the store, separated by commas.'
complete -c confd -n '__confd_at confd why' -l ca-file -r -F -d 'CA certificates that verify the store\'s certificate.'
complete -c confd -n '__confd_at confd why' -l cert-file -r -F -d 'Client certificate to present to the store.'
complete -c confd -n '__confd_at confd why' -l key-file -r -F -d 'Private key of --cert-file.'
complete -c confd -n '__confd_at confd why' -s h -l help -d 'Show this message and exit.'
complete -c confd -n '__confd_at confd convert' -s h -l help -d 'Show this message and exit.'
