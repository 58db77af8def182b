# fish completion for coordctl. Made by `make reference`; change the code, not this file.

# Prints the command that the words on the command line have come to.
function __coordctl_command
    set -l command coordctl
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch "$command $word"
            case 'coordctl --endpoints' 'coordctl --cert-file' 'coordctl --key-file' 'coordctl --ca-file' 'coordctl -u' 'coordctl --username' 'coordctl --timeout' 'coordctl --total-timeout' 'coordctl -o' 'coordctl --output' 'coordctl set --ttl' 'coordctl set --swap-with-value' 'coordctl set --swap-with-index' 'coordctl mk --ttl' 'coordctl update --ttl' 'coordctl mkdir --ttl' 'coordctl setdir --ttl' 'coordctl updatedir --ttl' 'coordctl rm --with-value' 'coordctl rm --with-index' 'coordctl watch --after-index' 'coordctl exec-watch --after-index' 'coordctl migrate --from' 'coordctl migrate --to' 'coordctl migrate --prefix' 'coordctl migrate --patience' 'coordctl recover --data-dir' 'coordctl recover --keep-index' 'coordctl recover --initial-advertise-peer-urls' 'coordctl recover --index-gap' 'coordctl backup restore --data-dir' 'coordctl backup restore --name' 'coordctl backup restore --initial-cluster' 'coordctl backup restore --initial-advertise-peer-urls' 'coordctl backup restore --initial-cluster-token' 'coordctl backup restore --index-gap'
                set skip 1
            case 'coordctl get' 'coordctl ls' 'coordctl set' 'coordctl mk' 'coordctl update' 'coordctl mkdir' 'coordctl setdir' 'coordctl updatedir' 'coordctl rm' 'coordctl rmdir' 'coordctl watch' 'coordctl exec-watch' 'coordctl cluster-health' 'coordctl move-leader' 'coordctl migrate' 'coordctl recover' 'coordctl member' 'coordctl member list' 'coordctl member add' 'coordctl member remove' 'coordctl member update' 'coordctl member promote' 'coordctl dump' 'coordctl dump wal' 'coordctl dump snapshot' 'coordctl dump state' 'coordctl backup' 'coordctl backup save' 'coordctl backup verify' 'coordctl backup restore'
                set command "$command $word"
        end
    end
    echo $command
end

function __coordctl_at
    test (__coordctl_command) = "$argv"
end

complete -c coordctl -f
complete -c coordctl -n '__coordctl_at coordctl' -a get -d 'Print the value of KEY'
complete -c coordctl -n '__coordctl_at coordctl' -a ls -d 'List the keys in directory KEY, or in the root'
complete -c coordctl -n '__coordctl_at coordctl' -a set -d 'Set KEY to VALUE, or to what is read from standard input'
complete -c coordctl -n '__coordctl_at coordctl' -a mk -d 'Create KEY with VALUE; fail if it exists'
complete -c coordctl -n '__coordctl_at coordctl' -a update -d 'Set KEY to VALUE; fail if it does not exist'
complete -c coordctl -n '__coordctl_at coordctl' -a mkdir -d 'Create directory KEY; fail if it exists'
complete -c coordctl -n '__coordctl_at coordctl' -a setdir -d 'Create directory KEY, also in the place of a file'
complete -c coordctl -n '__coordctl_at coordctl' -a updatedir -d 'Give directory KEY a new TTL, or remove its TTL'
complete -c coordctl -n '__coordctl_at coordctl' -a rm -d 'Remove KEY'
complete -c coordctl -n '__coordctl_at coordctl' -a rmdir -d 'Remove KEY if it is a file or an empty directory'
complete -c coordctl -n '__coordctl_at coordctl' -a watch -d 'Print the next change of KEY'
complete -c coordctl -n '__coordctl_at coordctl' -a exec-watch -d 'Run COMMAND [ARGS] for each change of KEY'
complete -c coordctl -n '__coordctl_at coordctl' -a cluster-health -d 'Ask every member whether it is healthy'
complete -c coordctl -n '__coordctl_at coordctl' -a move-leader -d 'Transfer leadership to a member'
complete -c coordctl -n '__coordctl_at coordctl' -a migrate -d 'Copy keys between two stores in use, and verify the copy'
complete -c coordctl -n '__coordctl_at coordctl' -a recover -d 'Make a stopped member a cluster of its own'
complete -c coordctl -n '__coordctl_at coordctl' -a member -d 'List and change the members of the cluster'
complete -c coordctl -n '__coordctl_at coordctl' -a dump -d 'Print what a coordinator has on disk and in memory'
complete -c coordctl -n '__coordctl_at coordctl' -a backup -d 'Back up all keys, and make new clusters from backups'
complete -c coordctl -n '__coordctl_at coordctl' -l endpoints -x -d 'Client URLs of the cluster.'
complete -c coordctl -n '__coordctl_at coordctl' -l cert-file -r -F -d 'Client certificate for the server.'
complete -c coordctl -n '__coordctl_at coordctl' -l key-file -r -F -d 'Private key of --cert-file.'
complete -c coordctl -n '__coordctl_at coordctl' -l ca-file -r -F -d 'CA that signed the server\'s certificate.'
complete -c coordctl -n '__coordctl_at coordctl' -s u -l username -x -d 'User name. Without a password here, coordctl asks for it.'
complete -c coordctl -n '__coordctl_at coordctl' -l timeout -x -d 'How long to wait for the answer of one server.'
complete -c coordctl -n '__coordctl_at coordctl' -l total-timeout -x -d 'How long a command may take, except watches.'
complete -c coordctl -n '__coordctl_at coordctl' -l no-sync -d 'Use only --endpoints, not the URLs of the members.'
complete -c coordctl -n '__coordctl_at coordctl' -l debug -d 'Print each request as a curl command.'
complete -c coordctl -n '__coordctl_at coordctl' -s o -l output -r -f -a 'simple extended json' -d 'Output format.'
complete -c coordctl -n '__coordctl_at coordctl' -l json -d 'Print JSON, for every command and for errors.'
complete -c coordctl -n '__coordctl_at coordctl' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl get' -l sort -d 'Sort by key.'
complete -c coordctl -n '__coordctl_at coordctl get' -s q -l quorum -d 'Read the latest value that is confirmed by a majority.'
complete -c coordctl -n '__coordctl_at coordctl get' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl ls' -l sort -d 'Sort by key.'
complete -c coordctl -n '__coordctl_at coordctl ls' -s r -l recursive -d 'Include everything below the key.'
complete -c coordctl -n '__coordctl_at coordctl ls' -s p -d 'Mark directories with a slash.'
complete -c coordctl -n '__coordctl_at coordctl ls' -s q -l quorum -d 'Read the latest value that is confirmed by a majority.'
complete -c coordctl -n '__coordctl_at coordctl ls' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl set' -l ttl -x -d 'Time until the key expires; 0 means never.'
complete -c coordctl -n '__coordctl_at coordctl set' -l swap-with-value -x -d 'Succeed only if this is the current value.'
complete -c coordctl -n '__coordctl_at coordctl set' -l swap-with-index -x -d 'Succeed only if this is the modified index; 0 means any.'
complete -c coordctl -n '__coordctl_at coordctl set' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl mk' -l ttl -x -d 'Time until the key expires; 0 means never.'
complete -c coordctl -n '__coordctl_at coordctl mk' -l in-order -d 'Create a key below KEY, named in ascending order.'
complete -c coordctl -n '__coordctl_at coordctl mk' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl update' -l ttl -x -d 'Time until the key expires; 0 means never.'
complete -c coordctl -n '__coordctl_at coordctl update' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl mkdir' -l ttl -x -d 'Time until the key expires; 0 means never.'
complete -c coordctl -n '__coordctl_at coordctl mkdir' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl setdir' -l ttl -x -d 'Time until the key expires; 0 means never.'
complete -c coordctl -n '__coordctl_at coordctl setdir' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl updatedir' -l ttl -x -d 'Time until the key expires; 0 means never.'
complete -c coordctl -n '__coordctl_at coordctl updatedir' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl rm' -l dir -d 'Also remove an empty directory.'
complete -c coordctl -n '__coordctl_at coordctl rm' -s r -l recursive -d 'Include everything below the key.'
complete -c coordctl -n '__coordctl_at coordctl rm' -l with-value -x -d 'Succeed only if this is the current value.'
complete -c coordctl -n '__coordctl_at coordctl rm' -l with-index -x -d 'Succeed only if this is the modified index; 0 means any.'
complete -c coordctl -n '__coordctl_at coordctl rm' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl rmdir' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl watch' -l after-index -x -d 'Start after this index; 0 starts now.'
complete -c coordctl -n '__coordctl_at coordctl watch' -s r -l recursive -d 'Include everything below the key.'
complete -c coordctl -n '__coordctl_at coordctl watch' -s f -l forever -d 'Continue until interrupted.'
complete -c coordctl -n '__coordctl_at coordctl watch' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl exec-watch' -l after-index -x -d 'Start after this index; 0 starts now.'
complete -c coordctl -n '__coordctl_at coordctl exec-watch' -s r -l recursive -d 'Include everything below the key.'
complete -c coordctl -n '__coordctl_at coordctl exec-watch' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl cluster-health' -s f -l forever -d 'Continue until interrupted.'
complete -c coordctl -n '__coordctl_at coordctl cluster-health' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl move-leader' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl migrate' -l from -x -d 'URLs of the store to copy from.'
complete -c coordctl -n '__coordctl_at coordctl migrate' -l to -x -d 'URLs of the store to copy to.'
complete -c coordctl -n '__coordctl_at coordctl migrate' -l prefix -x -d 'Copy only keys below KEY.'
complete -c coordctl -n '__coordctl_at coordctl migrate' -l run -d 'Copy. Without it, only print what would be done.'
complete -c coordctl -n '__coordctl_at coordctl migrate' -l follow -d 'Continue to copy changes until Ctrl-C, then verify.'
complete -c coordctl -n '__coordctl_at coordctl migrate' -l patience -x -d 'How long to wait until the source stops changing.'
complete -c coordctl -n '__coordctl_at coordctl migrate' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl recover' -l data-dir -r -f -a '(__fish_complete_directories)' -d 'The member\'s data directory.'
complete -c coordctl -n '__coordctl_at coordctl recover' -l keep-index -x -d 'Recover, but only if this is the index that would be kept.'
complete -c coordctl -n '__coordctl_at coordctl recover' -l initial-advertise-peer-urls -x -d 'URLs at which other members reach this one; its id is computed from them.'
complete -c coordctl -n '__coordctl_at coordctl recover' -l index-gap -x -d 'How much to raise the index. Must exceed the number of changes since the kept state.'
complete -c coordctl -n '__coordctl_at coordctl recover' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl member' -a list -d 'List the members and show which one is the leader'
complete -c coordctl -n '__coordctl_at coordctl member' -a add -d 'Add a member'
complete -c coordctl -n '__coordctl_at coordctl member' -a remove -d 'Remove a member permanently'
complete -c coordctl -n '__coordctl_at coordctl member' -a update -d 'Replace the peer URLs of a member'
complete -c coordctl -n '__coordctl_at coordctl member' -a promote -d 'Give a learner its vote now'
complete -c coordctl -n '__coordctl_at coordctl member' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl member list' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl member add' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl member remove' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl member update' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl member promote' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl dump' -a wal -d 'Print each record of the log in DIRECTORY, a --data-dir; the coordinator may be running'
complete -c coordctl -n '__coordctl_at coordctl dump' -a snapshot -d 'Print each key of a snapshot FILE'
complete -c coordctl -n '__coordctl_at coordctl dump' -a state -d 'Print the state of the coordinator whose --status-addr is at URL'
complete -c coordctl -n '__coordctl_at coordctl dump' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl dump wal' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl dump snapshot' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl dump snapshot' -F
complete -c coordctl -n '__coordctl_at coordctl dump state' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl backup' -a save -d 'Write all keys of the running cluster to FILE'
complete -c coordctl -n '__coordctl_at coordctl backup' -a verify -d 'Check the integrity of FILE, and print what it contains'
complete -c coordctl -n '__coordctl_at coordctl backup' -a restore -d 'Create a member of a new cluster from FILE'
complete -c coordctl -n '__coordctl_at coordctl backup' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl backup save' -l without-quorum -d 'Save the state of one member, even if outdated.'
complete -c coordctl -n '__coordctl_at coordctl backup save' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl backup save' -F
complete -c coordctl -n '__coordctl_at coordctl backup verify' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl backup verify' -F
complete -c coordctl -n '__coordctl_at coordctl backup restore' -l data-dir -r -f -a '(__fish_complete_directories)' -d 'The member\'s data directory.'
complete -c coordctl -n '__coordctl_at coordctl backup restore' -l name -x -d 'Name of this member.'
complete -c coordctl -n '__coordctl_at coordctl backup restore' -l initial-cluster -x -d 'The first members and their peer URLs.'
complete -c coordctl -n '__coordctl_at coordctl backup restore' -l initial-advertise-peer-urls -x -d 'URLs at which other members reach this one; its id is computed from them.'
complete -c coordctl -n '__coordctl_at coordctl backup restore' -l initial-cluster-token -x -d 'Token that distinguishes clusters with the same URLs.'
complete -c coordctl -n '__coordctl_at coordctl backup restore' -l index-gap -x -d 'How much to raise the index. Must exceed the number of changes since the kept state.'
complete -c coordctl -n '__coordctl_at coordctl backup restore' -s h -l help -d 'Show this message and exit.'
complete -c coordctl -n '__coordctl_at coordctl backup restore' -F
