# Everything that a process can see, in sections.
say() { echo "## $1"; }
say namespaces; for n in mnt pid uts ipc net user cgroup time; do echo "$n $(readlink /proc/$$/ns/$n)"; done
say status; cat /proc/$$/status
say ids; id; cat /proc/$$/uid_map /proc/$$/gid_map /proc/$$/setgroups
say limits; cat /proc/$$/limits
say mounts; cat /proc/$$/mountinfo
say dev; stat -c '%n %F %a %u:%g %t:%T' /dev /dev/[!f]* /dev/full /dev/pts/*
for link in /dev/*; do [ -L $link ] && echo "$link -> $(readlink $link)"; done
say environment; env
say place; pwd; umask; hostname; cut -d' ' -f 4-8 /proc/$$/stat
say domain; cat /proc/sys/kernel/domainname
say descriptors; ls /proc/$$/fd; readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2 | cut -d: -f1
say process; cat /proc/$$/oom_score_adj /proc/$$/loginuid /proc/$$/coredump_filter; tr '\0' ' ' </proc/$$/cmdline; echo
cut -d' ' -f 18-19,40-41 /proc/$$/stat
say network; cat /sys/class/net/lo/flags; ls /sys/class/net
cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range
say hidden; for p in /proc/kcore /proc/keys /proc/timer_list /proc/latency_stats /proc/sched_debug /proc/acpi /proc/scsi /proc/asound \
  /proc/interrupts /sys/firmware /sys/dev/block /sys/devices/virtual/powercap /sys/fs/selinux; do
  [ -e $p ] && stat -c '%n %F %t:%T' $p; [ -f $p ] && head -c 1 $p | wc -c; [ -d $p ] && ls $p | wc -l
done 2>&1
say written; for p in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/bus /proc/fs /proc/irq /sys/kernel /etc/x /x /w/x; do
  touch $p 2>/dev/null && echo "$p"
done
say calls; unshare -U true; unshare -m true; mount -t tmpfs x /tmp; dmesg | head -n 1; mknod /tmp/m c 1 1
chroot / true && echo chroot; mknod /tmp/p p && echo fifo
