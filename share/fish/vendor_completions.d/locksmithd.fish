# fish completion for locksmithd. Made by `make reference`; change the code, not this file.

# Prints the command that the words on the command line have come to.
function __locksmithd_command
    set -l command locksmithd
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch "$command $word"
            case 'locksmithd --strategy' 'locksmithd --group' 'locksmithd --window' 'locksmithd --time-zone' 'locksmithd --exclude' 'locksmithd --window-remaining' 'locksmithd --spread' 'locksmithd --max-deferral' 'locksmithd --best-effort-wait' 'locksmithd --reclaim-lost' 'locksmithd --priority' 'locksmithd --sentinel' 'locksmithd --probe' 'locksmithd --need-command' 'locksmithd --users' 'locksmithd --gate-command' 'locksmithd --gate-url' 'locksmithd --prometheus-url' 'locksmithd --ignore-alerts' 'locksmithd --healthy-timeout' 'locksmithd --settle' 'locksmithd --notify-url' 'locksmithd --state-dir' 'locksmithd --status-addr' 'locksmithd --status-tls' 'locksmithd --revoked-file' 'locksmithd --log-level' 'locksmithd --log-format' 'locksmithd --drain-timeout' 'locksmithd --config' 'locksmithd --endpoints' 'locksmithd --ca-file' 'locksmithd --cert-file' 'locksmithd --key-file' 'locksmithd --etcd-username' 'locksmithd --etcd-password' 'locksmithd --failure-budget' 'locksmithd --hooks-dir' 'locksmithd --hook-timeout' 'locksmithd --deadline' 'locksmithd --reboot-command' 'locksmithd --store-member'
                set skip 1
        end
    end
    echo $command
end

function __locksmithd_at
    test (__locksmithd_command) = "$argv"
end

complete -c locksmithd -f
complete -c locksmithd -n '__locksmithd_at locksmithd' -l strategy -r -f -a 'etcd-lock best-effort reboot off' -d 'Whether a reboot needs a slot.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l group -x -d 'Group of hosts that share a semaphore; without it, the default group.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l window -x -d 'When this host may reboot; separate several windows with semicolons.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l time-zone -x -d 'IANA time zone of the windows; without it, the zone of this host.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l exclude -x -d 'Days without reboots; separate several with semicolons.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l window-remaining -x -d 'Start a reboot only if at least this much of the window is left.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l spread -x -d 'Spread the reboots of hosts over this time after a window opens.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l max-deferral -x -d 'After this time, a needed reboot no longer waits for a window or for users; empty means never.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l best-effort-wait -x -d 'With the strategy best-effort, wait this long for an unreachable store.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l reclaim-lost -x -d 'Number of slots of lost hosts to take back; 0 means none.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l priority -x -d 'Hosts with a higher priority go first.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l sentinel -x -d 'Files that request a reboot; separate several with semicolons.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l probe -x -d 'Installed programs to ask whether a reboot is needed, separated by commas; or none.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l need-command -x -d 'Shell command that exits with 0 if a reboot is needed.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l users -x -d 'Whether to wait until no user is logged in, or to ignore users.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l gate-command -x -d 'Shell commands that must exit with 0 before a reboot; separate several with semicolons.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l gate-url -x -d 'URLs that must answer 2xx before a reboot; separate several with semicolons.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l prometheus-url -x -d 'Prometheus server whose firing alerts block reboots.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l ignore-alerts -x -d 'Pattern for names of alerts that do not block reboots.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l healthy-timeout -x -d 'A host that is not healthy this long after its start has failed.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l settle -x -d 'How long a host must be healthy before it releases its slot.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l notify-url -x -d 'Webhooks that receive each event; separate several with semicolons.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l state-dir -r -f -a '(__fish_complete_directories)' -d 'Directory for the last good copy of the keys; without it, none is kept.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l status-addr -x -d 'Address that serves /health, /ready, /metrics and /debug/state; empty for none.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l status-tls -r -f -a 'off require' -d 'Whether --status-addr requires TLS, and a certificate of this host or of a viewer.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l require-tls -d 'Refuse to listen beyond loopback without TLS, where the daemon would only warn.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l revoked-file -r -F -d 'List of hosts and users whose certificates are refused, also on open connections.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l log-level -r -f -a 'debug info warning error' -d 'Lowest level to log.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l log-format -r -f -a 'text json' -d 'Format of log lines.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l drain-timeout -x -d 'Time limit for finishing work in flight before exit.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l config -r -F -d 'TOML file whose keys are long option names.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l version -d 'Print the version and exit.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l endpoints -x -d 'Client URLs of the store, separated by commas.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l ca-file -r -F -d 'CA certificates that verify the store\'s certificate.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l cert-file -r -F -d 'Client certificate to present to the store.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l key-file -r -F -d 'Private key of --cert-file.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l etcd-username -x -d 'User name for the store.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l etcd-password -x -d 'Password for the store; prefer the environment variable.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l failure-budget -x -d 'Number of failed hosts that halts the group.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l hooks-dir -r -f -a '(__fish_complete_directories)' -d 'Directory with the hooks: pre-lock.d, pre-reboot.d, abort.d, healthy.d.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l hook-timeout -x -d 'Time limit of each hook.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l deadline -x -d 'Time limit from the grant of a slot to the reboot.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l reboot-command -x -d 'Shell command that reboots the host, in place of logind.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l store-member -x -d 'Name of the store\'s member on this host; auto finds it by its addresses, no means none.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -s h -l help -d 'Show this message and exit.'
