/** Keys of the network that are wrong, and all that is said about each; and those that are right. */
import { describe, expect, it } from 'vitest';
import type { SpecNetwork } from '../../../src/spec/network/network.ts';
import { load, problemsOf, problemText } from '../../support/spec.ts';

const IMAGE = 'image: {host_tools: [sh]}\n';
const BRIDGE = 'network_mode: bridge\n';

/** The keys, and each problem as `line:column+length CODE: message = help`. The first line is the image's. */
const BROKEN: readonly (readonly [yaml: string, problems: readonly string[]])[] = [
  [
    'ports: ["8080:80"]',
    ['2:1+5 E_SPEC_CONFLICT: `ports` need a network, and the container has `lo` alone = add `network_mode: bridge`'],
  ],
  [
    'network_mode: host\nports: ["8080:80"]',
    [
      '3:1+5 E_SPEC_CONFLICT: `ports` need a network of the container’s own, and it has the host’s = what listens inside listens on the host already: take `ports` out, or write `network_mode: bridge`',
    ],
  ],
  [
    'network_mode: container:web\nports: [80]',
    [
      '3:1+5 E_SPEC_CONFLICT: `ports` need a network of the container’s own, and it joins that of another container = write `ports` in the file of the container that is joined',
    ],
  ],
  [
    'network_mode: bridge\nports: ["8080:80:90"]',
    [
      '3:9+12 E_SPEC_PORT: `ports.0` has no address before the ports; found "8080:80:90" = write HOST:CONTAINER, such as "8080:80", or ADDRESS:HOST:CONTAINER, such as "127.0.0.1:8080:80"',
    ],
  ],
  [
    'network_mode: bridge\nports: ["127.0.0.1:80"]',
    [
      '3:9+14 E_SPEC_PORT: `ports.0` has no port of the host; found "127.0.0.1:80" = with one that is free, "127.0.0.1::80"',
    ],
  ],
  [
    'network_mode: bridge\nports: ["2001:db8::1:80"]',
    [
      '3:9+16 E_SPEC_PORT: `ports.0` has no port of the host; found "2001:db8::1:80" = with one that is free, "[2001:db8::1]::80"',
    ],
  ],
  [
    'network_mode: bridge\nports: ["::1:80"]',
    ['3:9+8 E_SPEC_PORT: `ports.0` has no port of the host; found "::1:80" = with one that is free, "[::1]::80"'],
  ],
  [
    'network_mode: bridge\nports: ["[::1]:80"]',
    ['3:9+10 E_SPEC_PORT: `ports.0` has no port of the host; found "[::1]:80" = with one that is free, "[::1]::80"'],
  ],
  [
    'network_mode: bridge\nports: ["localhost:80:80"]',
    ['3:9+17 E_SPEC_ADDRESS: "localhost" is not an address of this host = write 127.0.0.1, or ::1'],
  ],
  [
    'network_mode: bridge\nports: [":80"]',
    ['3:9+5 E_SPEC_PORT: `ports.0` has no port before the colon; found ":80" = for one that is free, write "0:80"'],
  ],
  [
    'network_mode: bridge\nports: ["::80"]',
    [
      '3:9+6 E_SPEC_PORT: `ports.0` has no address before the ports; found "::80" = write HOST:CONTAINER, such as "8080:80", or ADDRESS:HOST:CONTAINER, such as "127.0.0.1:8080:80"',
    ],
  ],
  [
    'network_mode: bridge\nports: ["80:"]',
    ['3:9+5 E_SPEC_PORT: a port is missing = a port is a number from 1 to 65535; a range is FIRST-LAST'],
  ],
  [
    'network_mode: bridge\nports: ["[::1:8080:80"]',
    [
      '3:9+14 E_SPEC_ADDRESS: "[::1" is not an address of this host = four numbers from 0 to 255, such as 192.0.2.7, or IPv6, such as 2001:db8::7',
    ],
  ],
  [
    'network_mode: bridge\nports: ["fe80::1:80:80"]',
    [
      '3:9+15 E_SPEC_ADDRESS: nothing can listen at "fe80::1": it is link-local, and means nothing without its interface = give an address of this host, or leave it out for all of them',
    ],
  ],
  [
    'network_mode: bridge\nports: ["224.0.0.1:80:80"]',
    [
      '3:9+17 E_SPEC_ADDRESS: nothing can listen at "224.0.0.1": it is a multicast address = give an address of this host, or leave it out for all of them',
    ],
  ],
  [
    'network_mode: bridge\nports: ["8000-8010:80"]',
    [
      '3:9+14 E_SPEC_PORT: `ports.0` has 11 ports of the host for 1 port inside = for a port that is free, leave the port of the host out, or write 0',
    ],
  ],
  [
    'network_mode: bridge\nports: ["8000-8001:8000-8002"]',
    [
      '3:9+21 E_SPEC_PORT: `ports.0` has 2 ports of the host for 3 ports inside = a range is as long on both sides: "9000-9010:8000-8010"',
    ],
  ],
  [
    'network_mode: bridge\nports: ["8010-8000:80-90"]',
    ['3:9+17 E_SPEC_PORT: the range "8010-8000" ends before it begins = write 8000-8010'],
  ],
  [
    'network_mode: bridge\nports: ["70000:80"]',
    ['3:9+10 E_SPEC_PORT: ports are numbers from 0 to 65535; found "70000"'],
  ],
  ['network_mode: bridge\nports: ["80:0"]', ['3:9+6 E_SPEC_PORT: ports are numbers from 1 to 65535; found "0"']],
  [
    'network_mode: bridge\nports: ["80:80/sctp"]',
    ['3:9+12 E_SPEC_PORT: "sctp" is not a protocol = it is `tcp` or `udp`'],
  ],
  [
    'network_mode: bridge\nports: ["80:80/"]',
    ['3:9+8 E_SPEC_PORT: a protocol is missing after `/` = it is `tcp` or `udp`'],
  ],
  [
    'network_mode: bridge\nports: ["http:80"]',
    ['3:9+9 E_SPEC_PORT: "http" is not a port = a port is a number from 1 to 65535; a range is FIRST-LAST'],
  ],
  [
    'network_mode: bridge\nports: ["080:80"]',
    ['3:9+8 E_SPEC_PORT: "080" is not a port = a port is a number from 1 to 65535; a range is FIRST-LAST'],
  ],
  [
    'network_mode: bridge\nports: [80.5]',
    [
      '3:9+4 E_SPEC_TYPE: `ports.0` must be [ADDRESS:][HOST:]CONTAINER[/PROTOCOL], such as "127.0.0.1:8080:80"; found the number 80.5',
    ],
  ],
  [
    'network_mode: bridge\nports: [true]',
    [
      '3:9+4 E_SPEC_TYPE: `ports.0` must be [ADDRESS:][HOST:]CONTAINER[/PROTOCOL], such as "127.0.0.1:8080:80"; found true',
    ],
  ],
  [
    'network_mode: bridge\nports: [{target: 80, published: "8080-8081"}]',
    [
      '3:9+36 E_SPEC_PORT: `ports.0` has 2 ports of the host for 1 port inside = for a port that is free, leave the port of the host out, or write 0',
    ],
  ],
  ['network_mode: bridge\nports: [{published: 80}]', ['3:9+15 E_SPEC_MISSING_KEY: `ports.0` lacks the key `target`']],
  [
    'network_mode: bridge\nports: [{target: 80, host_ip: x}]',
    [
      '3:31+1 E_SPEC_ADDRESS: "x" is not an address of this host = four numbers from 0 to 255, such as 192.0.2.7, or IPv6, such as 2001:db8::7',
    ],
  ],
  [
    'network_mode: bridge\nports: [{target: 80, protocol: sctp}]',
    ['3:32+4 E_SPEC_VALUE: `ports.0.protocol` must be one of tcp, udp; found the text "sctp"'],
  ],
  ['network_mode: bridge\nports: [{target: 0}]', ['3:18+1 E_SPEC_RANGE: `ports.0.target` must be at least 1; found 0']],
  [
    'network_mode: bridge\nports: ["8080:80","8080:81"]',
    [
      '3:19+9 E_SPEC_PORT: `ports.1` wants tcp port 8080 of the host, as `ports.0` of line 3 does already = one port of the host leads to one port inside',
    ],
  ],
  [
    'network_mode: bridge\nports: ["127.0.0.1:8080:80","8080:81"]',
    [
      '3:29+9 E_SPEC_PORT: `ports.1` wants tcp port 8080 of the host, as `ports.0` of line 3 does already = one port of the host leads to one port inside',
    ],
  ],
  [
    'network_mode: bridge\nports: ["1-2000:1-2000"]',
    [
      '3:9+15 E_SPEC_PORT: more than 1024 ports are published = each port of a range is a listening socket of its own: publish those that are needed',
    ],
  ],
  [
    'network_mode: bridge\nports: ["-1:80"]',
    ['3:9+7 E_SPEC_PORT: "-1" is not a port = a port is a number from 1 to 65535; a range is FIRST-LAST'],
  ],
  ['network_mode: bridge\nports: [""]', ['3:9+2 E_SPEC_VALUE: `ports.0` must not be empty']],
  [
    'network_mode: bridge\nports: ["1.2.3:80:80"]',
    [
      '3:9+13 E_SPEC_ADDRESS: "1.2.3" is not an address of this host = four numbers from 0 to 255, such as 192.0.2.7, or IPv6, such as 2001:db8::7',
    ],
  ],
  [
    'network_mode: bridge\nports: ["256.1.1.1:80:80"]',
    [
      '3:9+17 E_SPEC_ADDRESS: "256.1.1.1" is not an address of this host = four numbers from 0 to 255, such as 192.0.2.7, or IPv6, such as 2001:db8::7',
    ],
  ],
  [
    'network_mode: bridge\nports: ["80:80 "]',
    ['3:9+8 E_SPEC_PORT: "80 " is not a port = a port is a number from 1 to 65535; a range is FIRST-LAST'],
  ],
  [
    'network_mode: bridge\nports: "8080:80"',
    [
      '3:8+9 E_SPEC_TYPE: `ports` must be a list, such as ["127.0.0.1:8080:80"]; found the text "8080:80" = write `ports: ["8080:80"]`',
    ],
  ],
  [
    'network_mode: bridge\nports: {a: b}',
    ['3:1+5 E_SPEC_TYPE: `ports` must be a list, such as ["127.0.0.1:8080:80"]; found a map'],
  ],
  [
    'network_mode: bridge\negress: all',
    ['3:9+3 E_SPEC_EGRESS: `egress` must be none or a list; found "all" = leave it out where all may be reached'],
  ],
  [
    'network_mode: bridge\negress: [none, "*"]',
    [
      '3:10+4 E_SPEC_CONFLICT: `none` says that nothing is reached, and stands beside others = take it out, or the others',
    ],
  ],
  [
    'network_mode: bridge\negress: ["https://example.com/x"]',
    [
      '3:10+23 E_SPEC_EGRESS: "https://example.com/x" is a URL, and packets have none = write the host and its port: "example.com:443"',
    ],
  ],
  [
    'network_mode: bridge\negress: ["*.example.com"]',
    [
      '3:10+15 E_SPEC_EGRESS: "*.example.com" has a wildcard, and packets have addresses alone = names are looked up once, before the start: list each of them',
    ],
  ],
  [
    'network_mode: bridge\negress: ["10.0.0.1/8"]',
    [
      '3:10+12 E_SPEC_ADDRESS: "10.0.0.1/8" is an address within a subnet, and not the subnet = write 10.0.0.0/8 for all of it',
    ],
  ],
  [
    'network_mode: bridge\negress: ["10.0.0.0/33"]',
    [
      '3:10+13 E_SPEC_ADDRESS: "10.0.0.0/33" is not a subnet = an address and the length of what all have in common: 10.0.0.0/8, or fd00::/8',
    ],
  ],
  [
    'network_mode: bridge\negress: ["2001:db8::1:99999"]',
    [
      '3:10+19 E_SPEC_EGRESS: "2001:db8::1:99999" is not what can be reached = an IPv6 address before a port is in brackets: "[2001:db8::7]:443"',
    ],
  ],
  [
    'network_mode: bridge\negress: ["2001:db8::x"]',
    [
      '3:10+13 E_SPEC_EGRESS: "2001:db8::x" is not what can be reached = write TARGET[:PORT[-PORT]][/PROTOCOL], such as "example.com:443", "10.0.0.0/8", "*:53/udp" or "[2001:db8::7]:443"',
    ],
  ],
  [
    'network_mode: bridge\negress: ["127.0.0.1:80"]',
    [
      '3:10+14 E_SPEC_EGRESS: "127.0.0.1" is the container itself = this host is `host-gateway`, with the port: "host-gateway:5432"',
    ],
  ],
  [
    'network_mode: bridge\negress: ["localhost:80"]',
    [
      '3:10+14 E_SPEC_EGRESS: "localhost" is the container itself = this host is `host-gateway`, with the port: "host-gateway:5432"',
    ],
  ],
  [
    'network_mode: bridge\negress: ["hostgateway:1"]',
    ['3:10+15 E_SPEC_EGRESS: "hostgateway" is no host = did you mean `host-gateway`?'],
  ],
  [
    'network_mode: bridge\negress: ["224.0.0.1"]',
    ['3:10+11 E_SPEC_EGRESS: "224.0.0.1" is for many, and a container reaches single hosts = name the hosts'],
  ],
  [
    'network_mode: bridge\negress: ["0.0.0.0"]',
    [
      '3:10+9 E_SPEC_EGRESS: "0.0.0.0" is no address of a host = all of IPv4 is 0.0.0.0/0, all of IPv6 is ::/0, and all of both is `*`',
    ],
  ],
  ['network_mode: bridge\negress: ["*:0"]', ['3:10+5 E_SPEC_PORT: ports are numbers from 1 to 65535; found "0"']],
  ['network_mode: bridge\negress: ["*/icmp"]', ['3:10+8 E_SPEC_PORT: "icmp" is not a protocol = it is `tcp` or `udp`']],
  [
    'network_mode: bridge\negress: ["::ffff:10.0.0.1"]',
    [
      '3:10+17 E_SPEC_ADDRESS: "::ffff:10.0.0.1" is an IPv4 address in the form of IPv6 = write the IPv4 address itself',
    ],
  ],
  [
    'network_mode: bridge\negress: ["300.1.1.1"]',
    [
      '3:10+11 E_SPEC_ADDRESS: "300.1.1.1" is not an address = four numbers from 0 to 255, such as 192.0.2.7, or IPv6, such as 2001:db8::7',
    ],
  ],
  [
    'network_mode: bridge\negress: ["10.0.0"]',
    [
      '3:10+8 E_SPEC_ADDRESS: "10.0.0" is not an address = four numbers from 0 to 255, such as 192.0.2.7, or IPv6, such as 2001:db8::7',
    ],
  ],
  [
    'network_mode: bridge\negress: ["a b"]',
    [
      '3:10+5 E_SPEC_EGRESS: "a b" is neither an address nor a host name = write TARGET[:PORT[-PORT]][/PROTOCOL], such as "example.com:443", "10.0.0.0/8", "*:53/udp" or "[2001:db8::7]:443"',
    ],
  ],
  [
    'network_mode: bridge\negress: [":443"]',
    [
      '3:10+6 E_SPEC_EGRESS: a target is missing before the port = write TARGET[:PORT[-PORT]][/PROTOCOL], such as "example.com:443", "10.0.0.0/8", "*:53/udp" or "[2001:db8::7]:443"',
    ],
  ],
  [
    'network_mode: bridge\negress: ["x:"]',
    ['3:10+4 E_SPEC_PORT: a port is missing = a port is a number from 1 to 65535; a range is FIRST-LAST'],
  ],
  [
    'network_mode: bridge\negress: [5]',
    ['3:10+1 E_SPEC_TYPE: `egress.0` must be text, such as "example.com:443"; found the number 5 = quote it: "5"'],
  ],
  [
    'egress: ["*"]',
    ['2:1+6 E_SPEC_CONFLICT: `egress` needs a network, and the container has `lo` alone = add `network_mode: bridge`'],
  ],
  [
    'network_mode: host\negress: none',
    [
      '3:9+4 E_SPEC_CONFLICT: `egress` needs a network of the container’s own, and it has the host’s = take `egress` out, or write `network_mode: bridge`',
    ],
  ],
  [
    'network_mode: host\negress: []',
    [
      '3:1+6 E_SPEC_CONFLICT: `egress` needs a network of the container’s own, and it has the host’s = take `egress` out, or write `network_mode: bridge`',
    ],
  ],
  [
    'mac_address: "02:42:ac:11:00:03"',
    [
      '2:14+19 E_SPEC_CONFLICT: `mac_address` needs a network, and the container has `lo` alone = add `network_mode: bridge`',
    ],
  ],
  [
    'network_mode: bridge\nmac_address: 02:42:ac:11:00',
    [
      '3:14+14 E_SPEC_ADDRESS: "02:42:ac:11:00" is not a hardware address = six bytes in hexadecimal, such as 02:42:ac:11:00:03',
    ],
  ],
  [
    'network_mode: bridge\nmac_address: 03:42:ac:11:00:03',
    [
      '3:14+17 E_SPEC_ADDRESS: "03:42:ac:11:00:03" is an address of many: its first byte is odd = six bytes in hexadecimal, such as 02:42:ac:11:00:03',
    ],
  ],
  [
    'network_mode: bridge\nmac_address: 00:00:00:00:00:00',
    [
      '3:14+17 E_SPEC_ADDRESS: "00:00:00:00:00:00" is no address of an interface = six bytes in hexadecimal, such as 02:42:ac:11:00:03',
    ],
  ],
  [
    'network_mode: bridge\nmac_address: "zz"',
    ['3:14+4 E_SPEC_ADDRESS: "zz" is not a hardware address = six bytes in hexadecimal, such as 02:42:ac:11:00:03'],
  ],
  [
    'network_mode: bridg',
    [
      '2:15+5 E_SPEC_VALUE: `network_mode` must be none, bridge, host, container:NAME or an absolute path; found "bridg" = did you mean `bridge`?',
    ],
  ],
  [
    'network_mode: default',
    [
      '2:15+7 E_SPEC_VALUE: `network_mode` must be none, bridge, host, container:NAME or an absolute path; found "default" = write `bridge`: without root, it is made by pasta or slirp4netns',
    ],
  ],
  [
    'network_mode: container:',
    [
      '2:15+1 E_SPEC_SYNTAX: not valid YAML: Nested mappings are not allowed in compact mappings = begin the inner map on the next line, with more indent; quote text that has a colon before a space or at its end',
    ],
  ],
  [
    'network_mode: container:a/b',
    [
      '2:15+13 E_SPEC_VALUE: `network_mode` must be none, bridge, host, container:NAME or an absolute path; found "container:a/b" = the name is that of a container of yours that runs',
    ],
  ],
  [
    'network_mode: service:web',
    [
      '2:15+11 E_SPEC_VALUE: `network_mode` must be none, bridge, host, container:NAME or an absolute path; found "service:web" = a file has no other services: `container:web` names a container that runs',
    ],
  ],
  [
    'network_mode: ns:/x',
    [
      '2:15+5 E_SPEC_VALUE: `network_mode` must be none, bridge, host, container:NAME or an absolute path; found "ns:/x" = write the path alone: /x',
    ],
  ],
  [
    'network_mode: private',
    [
      '2:15+7 E_SPEC_VALUE: `network_mode` must be none, bridge, host, container:NAME or an absolute path; found "private" = write `none` for `lo` alone, or `bridge`',
    ],
  ],
  [
    'network_mode: mynet',
    [
      '2:15+5 E_SPEC_VALUE: `network_mode` must be none, bridge, host, container:NAME or an absolute path; found "mynet" = a network of several containers is named in `networks`: `networks: [NAME]`',
    ],
  ],
  ['network_mode: ""', ['2:1+12 E_SPEC_VALUE: `network_mode` must not be empty']],
  [
    'network_mode: 3',
    [
      '2:15+1 E_SPEC_TYPE: `network_mode` must be none, bridge, host, container:NAME, or an absolute path such as /run/netns/lab; found the number 3 = quote it: "3"',
    ],
  ],
  [
    'network_mode: bridge\nnamespaces: {net: host}',
    [
      '2:15+6 E_SPEC_CONFLICT: `network_mode` says something else than `namespaces.net` of line 3, which means the same = keep one of them',
    ],
  ],
  [
    'network_mode: none\nnamespaces: [pid, mount, user]',
    [
      '2:15+4 E_SPEC_CONFLICT: `network_mode` and the list of `namespaces` of line 3 do not say the same of `net` = keep one of them',
    ],
  ],
  [
    'namespaces: {net: host}\nnetworks: [a]',
    [
      '3:1+8 E_SPEC_CONFLICT: `networks` need a network of the container’s own, and it has the host’s = take `networks` out, or write `network_mode: bridge`',
    ],
  ],
  [
    'network_mode: none\nnetworks: [a]',
    ['3:1+8 E_SPEC_CONFLICT: `networks` need a network, and the container has `lo` alone = add `network_mode: bridge`'],
  ],
  [
    'dns: [9.9.9.9, 1.1.1.1, 8.8.8.8, 8.8.4.4]',
    ['2:34+7 E_SPEC_RANGE: only the first 3 name servers are asked = take the others out'],
  ],
  [
    'dns: [x]',
    [
      '2:7+1 E_SPEC_ADDRESS: "x" is not an address = four numbers from 0 to 255, such as 192.0.2.7, or IPv6, such as 2001:db8::7',
    ],
  ],
  [
    'dns: "fe80::1%eth0"',
    ['2:6+14 E_SPEC_ADDRESS: "fe80::1%eth0" is not an address = an address with a zone cannot be used here'],
  ],
  [
    'dns: 010.0.0.1',
    ['2:6+9 E_SPEC_ADDRESS: "010.0.0.1" is not an address = a number that begins with a zero could be meant as octal'],
  ],
  [
    'dns_search: ["a b"]',
    [
      '2:14+5 E_SPEC_HOSTNAME: "a b" is not a domain name = letters, digits and `-`, in parts joined by dots; `.` is none',
    ],
  ],
  [
    'dns_opt: [x=y]',
    [
      '2:11+3 E_SPEC_VALUE: "x=y" is not an option of the resolver = such as ndots:1, timeout:2 or use-vc (resolv.conf(5))',
    ],
  ],
  [
    'dns_opt: ndots:1',
    [
      '2:10+7 E_SPEC_TYPE: `dns_opt` must be a list, such as ["use-vc","ndots:1"]; found the text "ndots:1" = write `dns_opt: ["ndots:1"]`',
    ],
  ],
  [
    'extra_hosts: ["db"]',
    [
      '2:15+4 E_SPEC_VALUE: "db" has no address = write NAME=ADDRESS, such as "db=10.0.0.7" or "host.docker.internal=host-gateway"',
    ],
  ],
  [
    'extra_hosts: ["d b=1.1.1.1"]',
    [
      '2:15+13 E_SPEC_HOSTNAME: "d b" is not a host name = write NAME=ADDRESS, such as "db=10.0.0.7" or "host.docker.internal=host-gateway"',
    ],
  ],
  [
    'extra_hosts: ["=1.1.1.1"]',
    [
      '2:15+10 E_SPEC_HOSTNAME: a name is missing in "1.1.1.1" = write NAME=ADDRESS, such as "db=10.0.0.7" or "host.docker.internal=host-gateway"',
    ],
  ],
  [
    'extra_hosts: ["db="]',
    [
      '2:15+5 E_SPEC_VALUE: "db" has no address = write NAME=ADDRESS, such as "db=10.0.0.7" or "host.docker.internal=host-gateway"',
    ],
  ],
  [
    'extra_hosts: ["db=x"]',
    [
      '2:15+6 E_SPEC_ADDRESS: "x" is not an address = four numbers from 0 to 255, such as 192.0.2.7, or IPv6, such as 2001:db8::7',
    ],
  ],
  [
    'extra_hosts: ["h=host-gateway"]',
    [
      '2:15+16 E_SPEC_CONFLICT: `host-gateway` is the way to this host, and the container has no network that leads to it = add `network_mode: bridge`',
    ],
  ],
  [
    'extra_hosts: {"d b": 1.1.1.1}',
    [
      '2:22+7 E_SPEC_HOSTNAME: "d b" is not a host name = write NAME=ADDRESS, such as "db=10.0.0.7" or "host.docker.internal=host-gateway"',
    ],
  ],
  [
    'extra_hosts: {db: 5}',
    ['2:19+1 E_SPEC_TYPE: `extra_hosts.db` must be text or a list; found the number 5 = quote it: "5"'],
  ],
  [
    'extra_hosts: {db: [x]}',
    [
      '2:20+1 E_SPEC_ADDRESS: "x" is not an address = four numbers from 0 to 255, such as 192.0.2.7, or IPv6, such as 2001:db8::7',
    ],
  ],
  [
    'networks: [a, a]',
    ['2:15+1 E_SPEC_CONFLICT: `networks.1` is the network that `networks.0` of line 2 is already = name it once'],
  ],
  [
    'networks: ["a b"]',
    [
      '2:12+5 E_SPEC_VALUE: "a b" is not a name of a network = a letter or digit, then letters, digits, `_`, `.` or `-`, at most 63 in all',
    ],
  ],
  [
    'networks: {a: {ipv4_address: 10.0.0.5}}',
    [
      "2:30+8 E_SPEC_ADDRESS: an address of the container's own needs a subnet, and `networks.a` says no subnet of IPv4 = add `ipam: {config: [{subnet: 172.30.0.0/24}]}`",
    ],
  ],
  [
    'networks: {a: {ipv4_address: 172.31.0.5, ipam: {config: [{subnet: 172.30.0.0/24}]}}}',
    ['2:30+10 E_SPEC_ADDRESS: 172.31.0.5 is not in the subnet 172.30.0.0/24 of line 2 = such as 172.30.0.2'],
  ],
  [
    'networks: {a: {ipv4_address: x, ipv6_address: y}}',
    [
      '2:30+1 E_SPEC_ADDRESS: "x" is not an IPv4 address = four numbers from 0 to 255, such as 192.0.2.7',
      '2:47+1 E_SPEC_ADDRESS: "y" is not an IPv6 address = such as 2001:db8::7',
    ],
  ],
  [
    'networks: {a: {ipv4_address: "::1"}}',
    ['2:30+5 E_SPEC_ADDRESS: "::1" is an IPv6 address = write it as `ipv6_address`'],
  ],
  ...['169.0.0.0/8', '100.100.100.0/24', 'fd00:ec2::/64', '::/8'].map((text): (typeof BROKEN)[number] => [
    `networks: {a: {ipam: {config: [{subnet: "${text}"}]}}}`,
    [
      `2:41+${text.length + 2} E_SPEC_ADDRESS: "${text}" has no addresses for containers = such as 172.30.0.0/24, or fd00:30::/64`,
    ],
  ]),
  [
    'networks: {a: {ipam: {config: [{subnet: 172.30.0.1/24}]}}}',
    ['2:41+13 E_SPEC_ADDRESS: "172.30.0.1/24" is an address within a subnet, and not the subnet = write 172.30.0.0/24'],
  ],
  [
    'networks: {a: {ipam: {config: [{subnet: 10.0.0.0/4}]}}}',
    ['2:41+10 E_SPEC_ADDRESS: "10.0.0.0/4" is too large for a network of containers = at least /8'],
  ],
  [
    'networks: {a: {ipam: {config: [{subnet: 10.0.0.0/31}]}}}',
    ['2:41+11 E_SPEC_ADDRESS: "10.0.0.0/31" has no room for two containers = at most /30'],
  ],
  [
    'networks: {a: {ipam: {config: [{subnet: 10.0.0.0/24, gateway: 10.0.1.1}]}}}',
    [
      '2:63+8 E_SPEC_ADDRESS: the gateway "10.0.1.1" is not in the subnet 10.0.0.0/24 = give an address of it, or leave it out',
    ],
  ],
  [
    'networks: {a: {ipv4_address: 10.0.0.1, ipam: {config: [{subnet: 10.0.0.0/24, gateway: 10.0.0.1}]}}}',
    ['2:30+8 E_SPEC_ADDRESS: 10.0.0.1 is the gateway, which no container is given = another of 10.0.0.0/24'],
  ],
  [
    'networks: {a: {ipv4_address: 10.0.0.0, ipam: {config: [{subnet: 10.0.0.0/24}]}}}',
    [
      "2:30+8 E_SPEC_ADDRESS: 10.0.0.0 is the first address of 10.0.0.0/24, which is no host's = another of 10.0.0.0/24",
    ],
  ],
  [
    'networks: {a: {ipam: {config: [{subnet: 10.0.0.0/24},{subnet: 10.0.1.0/24}]}}}',
    [
      '2:63+11 E_SPEC_CONFLICT: `networks.a` has two subnets of IPv4 = a network has one of each family: make a second network of the other',
    ],
  ],
  [
    'networks: {a: {external: true, internal: true}}',
    [
      '2:42+4 E_SPEC_CONFLICT: `internal` says what `networks.a` is like, and it is external: other files say so = take `internal` or `external` out',
    ],
  ],
  [
    'networks: {a: {enable_ipv4: false, enable_ipv6: false}}',
    ['2:49+5 E_SPEC_CONFLICT: `networks.a` has neither IPv4 nor IPv6 = leave one of them on'],
  ],
  [
    'networks: {a: {name: "x/y"}}',
    [
      '2:22+5 E_SPEC_VALUE: `networks.a.name` must be a letter or digit, then letters, digits, `_`, `.` or `-`, at most 63 in all, such as "lab"; found the text "x/y"',
    ],
  ],
  [
    'networks: {a: {aliases: ["a b"]}}',
    ['2:26+5 E_SPEC_HOSTNAME: "a b" is not a host name = letters, digits and `-`, in parts joined by dots'],
  ],
  [
    'networks: {a: {driver: overlay}}',
    [
      '2:16+6 E_SPEC_UNSUPPORTED: `driver` in `networks.a` is not supported = a network is of one kind here: leave it out, or write `bridge`',
    ],
  ],
  [
    'networks: {a: {link_local_ips: [x]}}',
    [
      '2:16+14 E_SPEC_UNSUPPORTED: `link_local_ips` in `networks.a` is not supported = link-local addresses are out of a container’s reach',
    ],
  ],
  [
    'networks: {a: {ipam: {config: [{subnet: 10.0.0.0/24, ip_range: x}]}}}',
    [
      '2:54+8 E_SPEC_UNSUPPORTED: `ip_range` in `networks.a.ipam.config.0` is not supported = addresses are given out from all of `subnet`; `ipv4_address` chooses one',
    ],
  ],
  [
    'networks: {a: {ipam: {config: [{gateway: 10.0.0.1}]}}}',
    ['2:32+19 E_SPEC_MISSING_KEY: `networks.a.ipam.config.0` lacks the key `subnet`'],
  ],
  [
    'networks: {a: {x: 1}}',
    [
      '2:16+1 E_SPEC_UNKNOWN_KEY: there is no key `x` in `networks.a` = the keys are: aliases, ipv4_address, ipv6_address, internal, name, external, enable_ipv4, enable_ipv6, ipam',
    ],
  ],
  [
    'networks: {a: 5}',
    [
      '2:15+1 E_SPEC_TYPE: `networks.a` must be nothing, or a map such as {aliases: [db], internal: true}; found the number 5',
    ],
  ],
  [
    'networks: {a: {name: n}, b: {name: n}}',
    ['2:26+1 E_SPEC_CONFLICT: `networks.b` is the network that `networks.a` of line 2 is already = name it once'],
  ],
  [
    'networks: {a: {ipam: {config: [{subnet: 10.0.0.0/24}]}}, b: {ipam: {config: [{subnet: 10.0.0.0/16}]}}}',
    ['2:87+11 E_SPEC_CONFLICT: 10.0.0.0/16 overlaps a subnet of `networks.a` of line 2 = give each network its own'],
  ],
  [
    'networks: {a: {internal: true}}\nports: ["80:80"]',
    [
      '3:1+5 E_SPEC_CONFLICT: `ports` need a way to the world, and the container is on internal networks alone = add a network that is not internal',
    ],
  ],
  [
    'networks: {a: {internal: true}}\negress: ["*"]',
    [
      '3:1+6 E_SPEC_CONFLICT: `egress` needs a way to the world, and the container is on internal networks alone = add a network that is not internal',
    ],
  ],
  [
    'network_mode: bridge\nlimits: {network: {egress: 10}}',
    [
      '3:28+2 E_SPEC_TYPE: `limits.network.egress` must be bits in a second: a number with bit, kbit, mbit or gbit (1000-based), such as 10mbit; found the number 10 = with a unit: 10mbit',
    ],
  ],
  [
    'network_mode: bridge\nlimits: {network: {egress: 10MB}}',
    ['3:28+4 E_SPEC_RATE: "10MB" is not a rate = units are bit, kbit, mbit and gbit, 1000-based, in a second: 10mbit'],
  ],
  [
    'network_mode: bridge\nlimits: {network: {egress: 1kbit}}',
    [
      '3:28+5 E_SPEC_RANGE: at 1000 bits in a second, one full packet takes longer than that = the least is 16kbit; for no network at all, write `network_mode: none`',
    ],
  ],
  [
    'network_mode: bridge\nlimits: {network: {x: 1}}',
    ['3:20+1 E_SPEC_UNKNOWN_KEY: there is no key `x` in `limits.network` = the keys are: egress, ingress'],
  ],
  [
    'limits: {network: {egress: 10mbit}}',
    [
      '2:10+7 E_SPEC_CONFLICT: `limits.network` needs a network, and the container has `lo` alone = add `network_mode: bridge`',
    ],
  ],
  [
    'expose: ["x"]',
    ['2:10+3 E_SPEC_PORT: "x" is not a port = a port is a number from 1 to 65535; a range is FIRST-LAST'],
  ],
  ['expose: [0]', ['2:10+1 E_SPEC_RANGE: `expose.0` must be at least 1; found 0']],
];

/** What is no problem. */
const FINE: readonly string[] = [
  'network_mode: bridge\nports: ["8080"]',
  'network_mode: bridge\nports: [8080:80]',
  'network_mode: bridge\nports: ["0:80"]',
  'network_mode: bridge\nports: ["127.0.0.1::80"]',
  'network_mode: bridge\nports: ["[::1]:8080:80"]',
  'network_mode: bridge\nports: ["::1:8080:80"]',
  'network_mode: bridge\nports: ["80:80/TCP"]',
  'network_mode: bridge\nports: ["127.0.0.1:8080:80","127.0.0.2:8080:81"]',
  'network_mode: bridge\nports: ["8080:80","8080:80/udp"]',
  'network_mode: bridge\nports: ["0.0.0.0:80:80","[::]:80:80"]',
  'network_mode: bridge\nports: [{target: 80, mode: host, app_protocol: http, name: x}]',
  'network_mode: bridge\negress: none',
  'network_mode: bridge\negress: [none]',
  'network_mode: bridge\negress: ["example.com"]',
  'network_mode: bridge\negress: ["example.com:443"]',
  'network_mode: bridge\negress: ["10.0.0.0/8:80-90/udp"]',
  'network_mode: bridge\negress: ["fd00::/8"]',
  'network_mode: bridge\negress: ["[fd00::]/8:443"]',
  'network_mode: bridge\negress: ["[fd00::/8]:443"]',
  'network_mode: bridge\negress: ["2001:db8::1"]',
  'network_mode: bridge\negress: ["host-gateway:5432"]',
  'network_mode: bridge\negress: ["0.0.0.0/0"]',
  'network_mode: bridge\negress: ["*:53/udp"]',
  'network_mode: bridge\negress: ["*/udp"]',
  'network_mode: bridge\negress: ["169.254.169.254"]',
  'egress: none',
  'egress: [none]',
  'network_mode: bridge\nmac_address: 02-42-AC-11-00-03',
  'network_mode: /run/netns/x',
  'dns: 9.9.9.9',
  'dns_search: .',
  'extra_hosts: ["db=10.0.0.7"]',
  'extra_hosts: ["db:10.0.0.7"]',
  'extra_hosts: ["db:::1"]',
  'extra_hosts: ["db=[::1]"]',
  'extra_hosts: {db: 10.0.0.7}',
  'extra_hosts: {db: [10.0.0.7, "::1"]}',
  'networks: {a: {driver: bridge, labels: {x: y}, priority: 5}}',
  'network_mode: bridge\nlimits: {network: {egress: 10mbit}}',
  'network_mode: bridge\nlimits: {network: {egress: 1.5gbit, ingress: 100 mbit}}',
  'expose: [3000]',
  'expose: ["80-90/udp"]',
];

describe('keys of the network', () => {
  it.each(BROKEN)('%j is an error at its place, with what to do', (yaml, expected) => {
    expect(problemsOf(`${IMAGE}${yaml}\n`).map(problemText)).toEqual(expected);
  });

  it.each(FINE)('%j is taken', (yaml) => expect(problemsOf(`${IMAGE}${yaml}\n`)).toEqual([]));
});

const networkOf = (yaml: string): SpecNetwork | undefined => load(`${IMAGE}${yaml}\n`).spec.network;
const portsOf = (list: string): readonly string[] =>
  (networkOf(`${BRIDGE}ports: ${list}`)?.ports ?? []).map(
    ({ hostAddress = '*', hostPort, port, protocol }) => `${hostAddress} ${hostPort} ${port} ${protocol}`,
  );

describe('published ports', () => {
  it.each([
    ['[3000]', ['* 0 3000 tcp']],
    ['["8080:80"]', ['* 8080 80 tcp']],
    ['["127.0.0.1:8080:80/udp"]', ['127.0.0.1 8080 80 udp']],
    ['["[0:0:0:0:0:0:0:1]:8080:80"]', ['::1 8080 80 tcp']],
    ['["::1:8080:80"]', ['::1 8080 80 tcp']],
    ['["127.0.0.1::80"]', ['127.0.0.1 0 80 tcp']],
    ['["0:80"]', ['* 0 80 tcp']],
    ['["9000-9002:8000-8002"]', ['* 9000 8000 tcp', '* 9001 8001 tcp', '* 9002 8002 tcp']],
    ['["8000-8001"]', ['* 0 8000 tcp', '* 0 8001 tcp']],
    ['[{target: 80}]', ['* 0 80 tcp']],
    ['[{target: 80, published: "8080", host_ip: "::", protocol: udp}]', [':: 8080 80 udp']],
  ])('`ports: %s` publishes %j', (list, expected) => expect(portsOf(list)).toEqual(expected));
});

describe('networks', () => {
  it.each(['networks: [backend]', 'networks: {backend: }', 'network_mode: bridge\nnetworks: {backend: {}}'])(
    '%j gives the container a network that it shares with others of its folder',
    (yaml) => expect(networkOf(yaml)?.networks).toMatchObject([{ name: 'backend', internal: false, subnets: [] }]),
  );

  it('of a Compose file are read from the service and from the `networks` beside it', () => {
    const text = `services: {web: {${IMAGE.trim()}, networks: {back: {aliases: [db]}}}}\nnetworks: {back: {internal: true}, other: {}}\n`;
    expect(load(text).spec.network?.networks).toMatchObject([{ name: 'back', aliases: ['db'], internal: true }]);
    const list = `services: {web: {${IMAGE.trim()}, networks: [back, default]}}\nnetworks: {back: {name: lab}}\n`;
    expect(load(list).spec.network?.networks).toMatchObject([{ name: 'back', hostName: 'lab' }, { name: 'default' }]);
  });
});

it('`network_mode` sets the network namespace: private, the host’s, a path, or another container’s', () => {
  const net = (yaml: string) => load(`${IMAGE}${yaml}\n`).spec.namespaces.net;
  expect(net('network_mode: none')).toEqual({ kind: 'private' });
  expect(net('network_mode: bridge')).toEqual({ kind: 'private' });
  expect(net('network_mode: host')).toEqual({ kind: 'host' });
  expect(net('network_mode: /run/netns/../netns/lab')).toEqual({ kind: 'path', path: '/run/netns/lab' });
  expect(net('network_mode: "container:web"')).toEqual({ kind: 'container', name: 'web' });
  expect(networkOf('network_mode: none')).toBeUndefined();
});
