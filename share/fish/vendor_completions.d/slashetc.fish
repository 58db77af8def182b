# fish completion for slashetc. Made by `make reference`; change the code, not this file.

# Prints the command that the words on the command line have come to.
function __slashetc_command
    set -l command slashetc
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch "$command $word"
        end
    end
    echo $command
end

function __slashetc_at
    test (__slashetc_command) = "$argv"
end

complete -c slashetc -f
complete -c slashetc -n '__slashetc_at slashetc' -l version -d 'Print the version and exit.'
complete -c slashetc -n '__slashetc_at slashetc' -s h -l help -d 'Show this message and exit.'
