/** The controllers of control groups, by their names in version 2. In version 1 `io` is called blkio. */
export const CGROUP_CONTROLLERS = ['memory', 'pids', 'cpu', 'cpuset', 'io', 'hugetlb'] as const;
export type CgroupController = (typeof CGROUP_CONTROLLERS)[number];
