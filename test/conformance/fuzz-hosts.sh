#!/bin/sh
# Files with the launcher's marks, into the folder that is given: a fuzzer does not come up with them.
begin='# Containers on the same networks, kept up to date:\n'
end='# (end of these)\n'
printf "127.0.0.1\tlocalhost\n${begin}10.0.0.2\tdb\n${end}10.0.0.9\tmine # x\n\00010.0.0.3\tweb localhost\n" >"$1/both"
printf "${begin}\00010.0.0.3\tweb\n" >"$1/begin"
printf "${end}a\00010.0.0.3\tweb\n" >"$1/end"
printf "${begin}${begin}${end}${end}\00010.0.0.3\tweb\n10.0.0.4\tx" >"$1/twice"
