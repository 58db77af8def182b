# fish completion for locksmithctl. Made by `make reference`; change the code, not this file.

# Prints the command that the words on the command line have come to.
function __locksmithctl_command
    set -l command locksmithctl
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch "$command $word"
            case 'locksmithctl --group' 'locksmithctl --config' 'locksmithctl --endpoints' 'locksmithctl --ca-file' 'locksmithctl --cert-file' 'locksmithctl --key-file' 'locksmithctl --etcd-username' 'locksmithctl --etcd-password' 'locksmithctl reboot --failure-budget' 'locksmithctl reboot --hooks-dir' 'locksmithctl reboot --hook-timeout' 'locksmithctl reboot --deadline' 'locksmithctl reboot --reboot-command' 'locksmithctl reboot --store-member' 'locksmithctl send-need-reboot --reason' 'locksmithctl pause --reason' 'locksmithctl pause --for' 'locksmithctl history -n' 'locksmithctl history --last'
                set skip 1
            case 'locksmithctl help' 'locksmithctl status' 'locksmithctl lock' 'locksmithctl unlock' 'locksmithctl set-max' 'locksmithctl reboot' 'locksmithctl send-need-reboot' 'locksmithctl pause' 'locksmithctl resume' 'locksmithctl forget' 'locksmithctl why' 'locksmithctl queue' 'locksmithctl history' 'locksmithctl watch'
                set command "$command $word"
        end
    end
    echo $command
end

function __locksmithctl_at
    test (__locksmithctl_command) = "$argv"
end

complete -c locksmithctl -f
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -a help -d 'Show a list of commands, or help for one command'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -a status -d 'Show the slots and their holders'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -a lock -d 'Acquire a slot for this host, or for another holder'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -a unlock -d 'Release the slot of this host, or of another holder'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -a set-max -d 'Set the number of slots'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -a reboot -d 'Acquire a slot, drain this host and reboot it now'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -a send-need-reboot -d 'Tell this host\'s locksmithd that a reboot is needed'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -a pause -d 'Start no more reboots'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -a resume -d 'End a pause'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -a forget -d 'Delete a decommissioned host\'s records and slot'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -a why -d 'Show why a host needs a reboot'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -a queue -d 'Show the hosts that wait for a slot, in order'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -a history -d 'Show what happened in the group, the latest last'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -a watch -d 'Show each change of the group as it happens'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -l group -x -d 'Group of hosts that share a semaphore; without it, the default group.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -l json -d 'Print JSON.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -s v -l verbose -d 'Show more than Go\'s locksmithctl does.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -l debug -d 'Log debug messages to stderr.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -l config -r -F -d 'TOML file whose keys are long option names.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -l version -d 'Print the version and exit.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -l endpoints -x -d 'Client URLs of the store, separated by commas.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -l ca-file -r -F -d 'CA certificates that verify the store\'s certificate.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -l cert-file -r -F -d 'Client certificate to present to the store.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -l key-file -r -F -d 'Private key of --cert-file.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -l etcd-username -x -d 'User name for the store.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -l etcd-password -x -d 'Password for the store; prefer the environment variable.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl' -s h -l help -d 'Show this message and exit.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl help' -s h -l help -d 'Show this message and exit.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl status' -s h -l help -d 'Show this message and exit.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl lock' -s h -l help -d 'Show this message and exit.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl unlock' -s h -l help -d 'Show this message and exit.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl set-max' -s h -l help -d 'Show this message and exit.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl reboot' -l failure-budget -x -d 'Number of failed hosts that halts the group.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl reboot' -l hooks-dir -r -f -a '(__fish_complete_directories)' -d 'Directory with the hooks: pre-lock.d, pre-reboot.d, abort.d, healthy.d.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl reboot' -l hook-timeout -x -d 'Time limit of each hook.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl reboot' -l deadline -x -d 'Time limit from the grant of a slot to the reboot.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl reboot' -l reboot-command -x -d 'Shell command that reboots the host, in place of logind.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl reboot' -l store-member -x -d 'Name of the store\'s member on this host; auto finds it by its addresses, no means none.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl reboot' -s h -l help -d 'Show this message and exit.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl send-need-reboot' -l reason -x -d 'Reason, shown while the host waits.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl send-need-reboot' -s h -l help -d 'Show this message and exit.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl pause' -l reason -x -d 'Reason, shown for every host that waits.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl pause' -l for -x -d 'End the pause after this time, such as 8h or 14d.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl pause' -s h -l help -d 'Show this message and exit.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl resume' -s h -l help -d 'Show this message and exit.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl forget' -l force -d 'Forget the host even if it is alive.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl forget' -s h -l help -d 'Show this message and exit.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl why' -s h -l help -d 'Show this message and exit.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl queue' -s h -l help -d 'Show this message and exit.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl history' -s n -l last -x -d 'Number of lines.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl history' -s h -l help -d 'Show this message and exit.'
complete -c locksmithctl -n '__locksmithctl_at locksmithctl watch' -s h -l help -d 'Show this message and exit.'
