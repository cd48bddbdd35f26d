/** Messages of rtnetlink(7) in the words of ip(8) and tc(8): interfaces, addresses, neighbours, routes and queues. */
import { formatBytes } from './netlink-attributes.ts';
import { NotInWords, type Reader } from './netlink-reader.ts';
import { quoted } from './nft-rule-text.ts';

const WIDTHS: Readonly<Record<string, number>> = { AF_INET: 32, AF_INET6: 128 };
const NOWHERE: Readonly<Record<string, string>> = { AF_INET: '0.0.0.0', AF_INET6: '::' };

/** An address of the family that the message says. */
function address(reader: Reader, name: string, family: string): string {
  const bytes = reader.bytes(name);
  if (8 * bytes.length !== WIDTHS[family]) throw new NotInWords(name);
  return formatBytes(bytes);
}

const mac = (reader: Reader, name: string): string => {
  const bytes = reader.bytes(name);
  if (bytes.length !== 6) throw new NotInWords(name);
  return formatBytes(bytes);
};

/** `boxctl1 (index 1000001, group 6451064, address 02:62:6f:79:00:01)` */
function newInterface(reader: Reader): string {
  const facts: string[] = [];
  const name = reader.has('IFLA_IFNAME') ? quoted(reader.text('IFLA_IFNAME')) : 'without a name';
  if (reader.has('ifi_index')) facts.push(`index ${reader.interface('ifi_index')}`);
  if (reader.has('IFLA_GROUP')) facts.push(`group ${reader.number('IFLA_GROUP')}`);
  if (reader.has('IFLA_ADDRESS')) facts.push(`address ${mac(reader, 'IFLA_ADDRESS')}`);
  if (reader.has('IFLA_MTU')) facts.push(`mtu ${reader.number('IFLA_MTU')}`);
  if (reader.has('IFLA_NUM_TX_QUEUES')) facts.push(`numtxqueues ${reader.number('IFLA_NUM_TX_QUEUES')}`);
  if (reader.has('IFLA_NUM_RX_QUEUES')) facts.push(`numrxqueues ${reader.number('IFLA_NUM_RX_QUEUES')}`);
  const where = reader.has('IFLA_NET_NS_PID') ? ` in ${reader.child('IFLA_NET_NS_PID')}'s network namespace` : '';
  return `${name}${facts.length === 0 ? '' : ` (${facts.join(', ')})`}${where}`;
}

function newLink(reader: Reader): string {
  const { kind, peer } = reader.nest('IFLA_LINKINFO', (info) => ({
    kind: info.text('IFLA_INFO_KIND'),
    peer: info.has('IFLA_INFO_DATA')
      ? info.nest('IFLA_INFO_DATA', (data) =>
          data.has('VETH_INFO_PEER') ? data.nest('VETH_INFO_PEER', newInterface) : undefined,
        )
      : undefined,
  }));
  return `${quoted(kind)} ${newInterface(reader)}${peer === undefined ? '' : ` with its other end ${peer}`}`;
}

const SETTINGS: Readonly<Record<string, string>> = {
  IPV4_DEVCONF_FORWARDING: 'forwarding',
  IPV4_DEVCONF_ACCEPT_REDIRECTS: 'accept_redirects',
  IPV4_DEVCONF_SECURE_REDIRECTS: 'secure_redirects',
  IPV4_DEVCONF_SEND_REDIRECTS: 'send_redirects',
  IPV4_DEVCONF_RP_FILTER: 'rp_filter',
  IPV4_DEVCONF_SRC_VMARK: 'src_valid_mark',
  IPV4_DEVCONF_ROUTE_LOCALNET: 'route_localnet',
};

/** Settings of /proc/sys/net/ipv4/conf and ipv6/conf, by their names there. */
function settings(reader: Reader): readonly string[] {
  const words: string[] = [];
  if (reader.has('AF_INET')) {
    const values = reader.nest('AF_INET', (inet) =>
      inet.nest('IFLA_INET_CONF', (conf) =>
        Object.entries(SETTINGS).flatMap(([name, word]) => (conf.has(name) ? [`${word}=${conf.number(name)}`] : [])),
      ),
    );
    words.push(`ipv4 ${values.join(' ')}`);
  }
  if (reader.has('AF_INET6')) {
    const mode = reader.nest('AF_INET6', (inet6) => inet6.name('IFLA_INET6_ADDR_GEN_MODE'));
    words.push(`ipv6 addr_gen_mode=${mode.replace('IN6_ADDR_GEN_MODE_', '').toLowerCase()}`);
  }
  return words;
}

const dev = (reader: Reader, name: string): string => `dev ${reader.interface(name)}`;

function setLink(reader: Reader): string {
  const words = [dev(reader, 'ifi_index')];
  const [flags, change] = [reader.bits('ifi_flags'), reader.bits('ifi_change')];
  if (flags.some((flag) => !change.includes(flag))) throw new NotInWords('ifi_flags');
  if (change.length > 0) words.push(flags.length > 0 ? 'up' : 'down');
  if (reader.has('IFLA_IFNAME')) words.push(`name ${quoted(reader.text('IFLA_IFNAME'))}`);
  if (reader.has('IFLA_MTU')) words.push(`mtu ${reader.number('IFLA_MTU')}`);
  if (reader.has('IFLA_GROUP')) words.push(`group ${reader.number('IFLA_GROUP')}`);
  if (reader.has('IFLA_TXQLEN')) words.push(`txqueuelen ${reader.number('IFLA_TXQLEN')}`);
  if (reader.has('IFLA_AF_SPEC')) words.push(...reader.nest('IFLA_AF_SPEC', settings));
  return words.join(' ');
}

const ADDRESS_FLAGS: Readonly<Record<string, string>> = { IFA_F_NODAD: 'nodad', IFA_F_PERMANENT: 'permanent' };

function newAddress(reader: Reader): string {
  const family = reader.name('ifa_family');
  const own = address(reader, 'IFA_LOCAL', family);
  const peer = reader.has('IFA_ADDRESS') ? address(reader, 'IFA_ADDRESS', family) : own;
  const prefix = `/${reader.number('ifa_prefixlen')}`;
  const scope = reader.name('ifa_scope');
  const flags = reader.has('IFA_FLAGS') ? reader.bits('IFA_FLAGS').map((flag) => ADDRESS_FLAGS[flag] ?? flag) : [];
  return [
    peer === own ? `${own}${prefix}` : `${own} peer ${peer}${prefix}`,
    dev(reader, 'ifa_index'),
    ...(scope === 'RT_SCOPE_UNIVERSE' ? [] : [scopeWords(scope)]),
    ...flags,
  ].join(' ');
}

const scopeWords = (scope: string): string => `scope ${scope.replace('RT_SCOPE_', '').toLowerCase()}`;

function newNeighbour(reader: Reader): string {
  const family = reader.name('ndm_family');
  const to = address(reader, 'NDA_DST', family);
  const state = reader.name('ndm_state').replace('NUD_', '').toLowerCase();
  return `${to} lladdr ${mac(reader, 'NDA_LLADDR')} ${dev(reader, 'ndm_ifindex')} ${state}`;
}

/** `default via 10.215.0.0 dev 1000001 onlink src 10.215.0.1 proto static` */
function newRoute(reader: Reader): string {
  const family = reader.name('rtm_family');
  const length = reader.number('rtm_dst_len');
  const to = reader.has('RTA_DST') ? address(reader, 'RTA_DST', family) : NOWHERE[family];
  const isDefault = !reader.has('RTA_DST') && length === 0 && reader.has('RTA_GATEWAY');
  const isOne = length === WIDTHS[family];
  if (to === undefined) throw new NotInWords('rtm_family');
  const type = reader.name('rtm_type').replace('RTN_', '').toLowerCase();
  const [table, scope] = [reader.name('rtm_table'), reader.name('rtm_scope')];
  return [
    ...(type === 'unicast' ? [] : [type]),
    isDefault ? 'default' : isOne ? to : `${to}/${length}`,
    ...(reader.has('RTA_GATEWAY') ? [`via ${address(reader, 'RTA_GATEWAY', family)}`] : []),
    ...(reader.has('RTA_OIF') ? [dev(reader, 'RTA_OIF')] : []),
    ...reader.bits('rtm_flags').map((flag) => flag.replace('RTNH_F_', '').toLowerCase()),
    ...(reader.has('RTA_PREFSRC') ? [`src ${address(reader, 'RTA_PREFSRC', family)}`] : []),
    ...(reader.has('RTA_PRIORITY') ? [`metric ${reader.number('RTA_PRIORITY')}`] : []),
    `proto ${reader.name('rtm_protocol').replace('RTPROT_', '').toLowerCase()}`,
    ...(scope === 'RT_SCOPE_UNIVERSE' ? [] : [scopeWords(scope)]),
    ...(table === 'RT_TABLE_MAIN' ? [] : [`table ${table.replace('RT_TABLE_', '').toLowerCase()}`]),
    ...(reader.has('RTA_TABLE') ? [`table ${reader.number('RTA_TABLE')}`] : []),
  ].join(' ');
}

const UNITS = [
  [1e9, 'gbit'],
  [1e6, 'mbit'],
  [1e3, 'kbit'],
] as const;

/** Of so many bytes a second. */
function rate(bytes: number): string {
  const bits = 8 * bytes;
  const [size, unit] = UNITS.find(([one]) => bits > 0 && bits % one === 0) ?? [1, 'bit'];
  return `rate ${bits / size}${unit}`;
}

const MAX_RATE = 0xffff_ffff;

/** tc-tbf(8). A rate of 64 bits takes the place of the one of 32, and the burst in bytes that of `buffer`. */
function bucket(reader: Reader): readonly string[] {
  const { small, limit } = reader.nest('TCA_TBF_PARMS', (inner) => {
    if (inner.name('rate.linklayer') !== 'TC_LINKLAYER_ETHERNET') throw new NotInWords('rate.linklayer');
    inner.expect('buffer', 0);
    return { small: inner.number('rate.rate'), limit: inner.number('limit') };
  });
  const large = reader.has('TCA_TBF_RATE64') ? reader.number('TCA_TBF_RATE64') : undefined;
  if (large !== undefined && small !== MAX_RATE) throw new NotInWords('TCA_TBF_RATE64');
  return [rate(large ?? small), `burst ${reader.number('TCA_TBF_BURST')}b`, `limit ${limit}b`];
}

function newQueue(reader: Reader): string {
  const parent = reader.number('tcm_parent');
  const kind = reader.text('TCA_KIND');
  const handle = reader.number('tcm_handle');
  if (parent !== 0xffff_ffff || (handle & 0xffff) !== 0) throw new NotInWords('tcm_parent');
  const options = reader.has('TCA_OPTIONS') ? reader.nest('TCA_OPTIONS', bucket) : [];
  return [dev(reader, 'tcm_ifindex'), 'root', `handle ${(handle >>> 16).toString(16)}:`, quoted(kind), ...options].join(
    ' ',
  );
}

/** Undefined: no message of rtnetlink that has words. */
export function routeText(type: string, reader: Reader): string | undefined {
  switch (type) {
    case 'RTM_NEWLINK':
      return newLink(reader);
    case 'RTM_DELLINK':
    case 'RTM_SETLINK':
      return setLink(reader);
    case 'RTM_NEWADDR':
      return newAddress(reader);
    case 'RTM_NEWNEIGH':
      return newNeighbour(reader);
    case 'RTM_NEWROUTE':
      return newRoute(reader);
    case 'RTM_NEWQDISC':
      return newQueue(reader);
    default:
      return undefined;
  }
}
