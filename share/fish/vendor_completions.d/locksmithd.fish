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
            case 'locksmithd --strategy' 'locksmithd --group' 'locksmithd --window' 'locksmithd --time-zone' 'locksmithd --exclude' 'locksmithd --window-remaining' 'locksmithd --spread' 'locksmithd --max-deferral' 'locksmithd --best-effort-wait' 'locksmithd --failure-budget' 'locksmithd --reclaim-lost' 'locksmithd --priority' 'locksmithd --sentinel' 'locksmithd --probe' 'locksmithd --need-command' 'locksmithd --hooks-dir' 'locksmithd --hook-timeout' 'locksmithd --users' 'locksmithd --gate-command' 'locksmithd --gate-url' 'locksmithd --prometheus-url' 'locksmithd --ignore-alerts' 'locksmithd --deadline' 'locksmithd --healthy-timeout' 'locksmithd --settle' 'locksmithd --reboot-command' 'locksmithd --notify-url' 'locksmithd --store-member' 'locksmithd --endpoints' 'locksmithd --ca-file' 'locksmithd --cert-file' 'locksmithd --key-file' 'locksmithd --etcd-username' 'locksmithd --etcd-password' 'locksmithd --state-dir' 'locksmithd --status-addr' 'locksmithd --log-level' 'locksmithd --log-format' 'locksmithd --drain-timeout' 'locksmithd --config'
                set skip 1
        end
    end
    echo $command
end

function __locksmithd_at
    test (__locksmithd_command) = "$argv"
end

complete -c locksmithd -f
complete -c locksmithd -n '__locksmithd_at locksmithd' -l strategy -r -f -a 'etcd-lock best-effort reboot off' -d 'How this host takes its reboots.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l group -x -d 'Whose semaphore; the default group without it.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l window -x -d 'When to reboot; several with semicolons.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l time-zone -x -d 'IANA name; this host\'s zone without it.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l exclude -x -d 'Days without reboots; several with semicolons.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l window-remaining -x -d 'Left of a window to begin.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l spread -x -d 'Hosts begin over this time.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l max-deferral -x -d 'A need so old waits for no window and no user; empty for never.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l best-effort-wait -x -d 'Strategy best-effort: for the store.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l failure-budget -x -d 'So many failed hosts halt their group.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l reclaim-lost -x -d 'So many slots of lost hosts may be taken back; 0 for none.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l priority -x -d 'Higher goes first in the queue.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l sentinel -x -d 'Files that ask for a reboot; several with semicolons.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l probe -x -d 'Programs to ask, where installed; commas between, or none.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l need-command -x -d 'Shell command; exit code 0 means: a reboot is needed.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l hooks-dir -r -f -a '(__fish_complete_directories)' -d 'Holds pre-lock.d, pre-reboot.d, abort.d, healthy.d.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l hook-timeout -x -d 'For each hook.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l users -x -d 'What logged-in users are to a reboot.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l gate-command -x -d 'Must exit with 0 for a reboot; several with semicolons.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l gate-url -x -d 'Must answer 2xx for a reboot; several with semicolons.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l prometheus-url -x -d 'No reboot while its alerts fire.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l ignore-alerts -x -d 'But for these.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l deadline -x -d 'From the slot to the reboot, at most.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l healthy-timeout -x -d 'Until a reboot has failed.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l settle -x -d 'How long health must last.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l reboot-command -x -d 'Shell command that goes instead of logind\'s Reboot.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l notify-url -x -d 'Webhooks that get each event; several with semicolons.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l store-member -x -d 'The store\'s member on this host; auto: by its addresses.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l endpoints -x -d 'Client URLs of the store, separated by commas.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l ca-file -r -F -d 'CA certificates that verify the store\'s certificate.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l cert-file -r -F -d 'Client certificate to present to the store.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l key-file -r -F -d 'Private key of --cert-file.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l etcd-username -x -d 'User name for the store.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l etcd-password -x -d 'Its password; better given by the environment.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l state-dir -r -f -a '(__fish_complete_directories)' -d 'Directory for the last good copy of the keys; without it, none is kept.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l status-addr -x -d 'Address that serves /health, /ready, /metrics and /debug/state; empty for none.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l log-level -r -f -a 'debug info warning error' -d 'Lowest level to log.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l log-format -r -f -a 'text json' -d 'Format of log lines.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l drain-timeout -x -d 'Longest time to finish what is in flight before exit.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l config -r -F -d 'TOML file whose keys are long option names.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -l version -d 'Print the version and exit.'
complete -c locksmithd -n '__locksmithd_at locksmithd' -s h -l help -d 'Show this message and exit.'
