/*
 * Tries what a hostile container would with its network. Each group of words, up to `--`, is one attempt; for each a line
 * `WORDS ERRNO` is printed, 0 where the call worked (of a frame: that it was sent, which does not say that it arrived).
 *
 *   tcp ADDRESS PORT          connects, for at most two seconds
 *   udp ADDRESS PORT TEXT     sends, and waits a second for an answer
 *   raw FROM TO PORT TEXT     a UDP datagram with a header of its own (IPv4)
 *   frame MAC FROM TO PORT TEXT  the same in an Ethernet frame to the gateway, of both families; MAC is the sender's, or `own`
 *   vlan FROM TO PORT TEXT    with an 802.1Q tag (IPv4)
 *   arp ADDRESS               says, and asks, as if the address were here
 *   advertise                 a router advertisement, and a redirect (IPv6)
 *   flood ADDRESS PORT SECONDS  datagrams and connections, as many as it can
 *   own-mac                   gives the interface another hardware address
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <ifaddrs.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define INTERFACE "eth0"

static unsigned char own[6], gateway[6];

static int is6(const char *text) { return strchr(text, ':') != NULL; }

static socklen_t address(const char *text, int port, struct sockaddr_storage *out) {
  memset(out, 0, sizeof *out);
  if (is6(text)) {
    struct sockaddr_in6 *name = (void *)out;
    name->sin6_family = AF_INET6;
    name->sin6_port = htons(port);
    if (strncmp(text, "fe80", 4) == 0) name->sin6_scope_id = if_nametoindex(INTERFACE);
    inet_pton(AF_INET6, text, &name->sin6_addr);
    return sizeof *name;
  }
  struct sockaddr_in *name = (void *)out;
  name->sin_family = AF_INET;
  name->sin_port = htons(port);
  inet_pton(AF_INET, text, &name->sin_addr);
  return sizeof *name;
}

static int tcp(char **words) {
  struct sockaddr_storage name;
  socklen_t size = address(words[0], atoi(words[1]), &name);
  int fd = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (connect(fd, (void *)&name, size) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  struct pollfd poller = {fd, POLLOUT, 0};
  if (poll(&poller, 1, 2000) != 1) return ETIMEDOUT;
  int error = 0;
  size = sizeof error;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  close(fd);
  return error;
}

static int udp(char **words) {
  struct sockaddr_storage name;
  socklen_t size = address(words[0], atoi(words[1]), &name);
  int fd = socket(name.ss_family, SOCK_DGRAM, 0), on = 1;
  setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
  /* A socket that is not connected is not told of a refusal. */
  if (connect(fd, (void *)&name, size) < 0 || send(fd, words[2], strlen(words[2]), 0) < 0) return errno;
  struct pollfd poller = {fd, POLLIN, 0};
  if (poll(&poller, 1, 1000) != 1) return ETIMEDOUT;
  char answer[256];
  return recv(fd, answer, sizeof answer, 0) < 0 ? errno : 0;
}

static int flood(char **words) {
  static char bytes[1000];
  struct sockaddr_storage name;
  socklen_t size = address(words[0], atoi(words[1]), &name);
  int fd = socket(name.ss_family, SOCK_DGRAM, 0);
  puts("ready");
  fflush(stdout);
  for (time_t end = time(NULL) + atoi(words[2]); time(NULL) < end;) {
    for (int i = 0; i < 200; i++) sendto(fd, bytes, sizeof bytes, MSG_DONTWAIT, (void *)&name, size);
    for (int i = 0; i < 20; i++) {
      int connection = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
      connect(connection, (void *)&name, size);
      close(connection);
    }
  }
  return 0;
}

static uint16_t sum(const void *bytes, size_t size, uint32_t total) {
  const unsigned char *at = bytes;
  for (size_t i = 0; i + 1 < size; i += 2) total += at[i] << 8 | at[i + 1];
  if (size & 1) total += at[size - 1] << 8;
  while (total >> 16) total = (total & 0xffff) + (total >> 16);
  return htons((uint16_t)~total);
}

/* An IP packet with a UDP datagram. IPv4 goes without the checksum of UDP. */
static size_t packet(unsigned char *out, const char *from, const char *to, int port, const char *text) {
  size_t length = strlen(text), udp_length = 8 + length, head = is6(to) ? 40 : 20;
  memset(out, 0, head + 8);
  unsigned char *datagram = out + head;
  uint16_t ports[] = {htons(5555), htons(port), htons(udp_length), 0};
  memcpy(datagram, ports, 8);
  memcpy(datagram + 8, text, length);
  if (is6(to)) {
    out[0] = 0x60;
    out[4] = udp_length >> 8;
    out[5] = udp_length;
    out[6] = IPPROTO_UDP;
    out[7] = 64;
    inet_pton(AF_INET6, from, out + 8);
    inet_pton(AF_INET6, to, out + 24);
    uint32_t pseudo = 0;
    for (int i = 8; i < 40; i += 2) pseudo += out[i] << 8 | out[i + 1];
    ports[3] = sum(datagram, udp_length, pseudo + udp_length + IPPROTO_UDP);
    memcpy(datagram, ports, 8);
    return head + udp_length;
  }
  out[0] = 0x45;
  out[2] = (head + udp_length) >> 8;
  out[3] = head + udp_length;
  out[8] = 64;
  out[9] = IPPROTO_UDP;
  inet_pton(AF_INET, from, out + 12);
  inet_pton(AF_INET, to, out + 16);
  uint16_t check = sum(out, 20, 0);
  memcpy(out + 10, &check, 2);
  return head + udp_length;
}

static int raw(char **words) {
  unsigned char bytes[1500];
  struct sockaddr_storage name;
  int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  if (fd < 0) return errno;
  size_t size = packet(bytes, words[0], words[1], atoi(words[2]), words[3]);
  socklen_t length = address(words[1], 0, &name);
  return sendto(fd, bytes, size, 0, (void *)&name, length) < 0 ? errno : 0;
}

static int send_frame(const unsigned char *from, const unsigned char *to, int type, const void *payload, size_t size) {
  unsigned char bytes[1600];
  int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
  if (fd < 0) return errno;
  memcpy(bytes, to, 6);
  memcpy(bytes + 6, from, 6);
  bytes[12] = type >> 8;
  bytes[13] = type;
  memcpy(bytes + 14, payload, size);
  struct sockaddr_ll name = {.sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(INTERFACE), .sll_halen = 6};
  int error = sendto(fd, bytes, 14 + size, 0, (void *)&name, sizeof name) < 0 ? errno : 0;
  close(fd);
  return error;
}

static int frame(char **words) {
  unsigned char bytes[1500], mac[6];
  memcpy(mac, own, 6);
  if (strcmp(words[0], "own") != 0)
    sscanf(words[0], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5);
  size_t size = packet(bytes, words[1], words[2], atoi(words[3]), words[4]);
  return send_frame(mac, gateway, is6(words[2]) ? ETH_P_IPV6 : ETH_P_IP, bytes, size);
}

/* An IP packet as hexadecimal digits, to which the own source address is added, and the checksum of IPv4. */
static int hex(char **words) {
  unsigned char bytes[1500];
  size_t size = 0;
  for (const char *at = words[0]; size < sizeof bytes && sscanf(at, "%2hhx", bytes + size) == 1; at += 2) size++;
  int family = bytes[0] >> 4 == 6 ? AF_INET6 : AF_INET;
  struct ifaddrs *list = NULL;
  getifaddrs(&list);
  for (struct ifaddrs *one = list; one != NULL; one = one->ifa_next) {
    if (strcmp(one->ifa_name, INTERFACE) != 0 || one->ifa_addr == NULL || one->ifa_addr->sa_family != family) continue;
    if (family == AF_INET) memcpy(bytes + 12, &((struct sockaddr_in *)one->ifa_addr)->sin_addr, 4);
    else if (!IN6_IS_ADDR_LINKLOCAL(&((struct sockaddr_in6 *)one->ifa_addr)->sin6_addr))
      memcpy(bytes + 8, &((struct sockaddr_in6 *)one->ifa_addr)->sin6_addr, 16);
  }
  freeifaddrs(list);
  if (family == AF_INET) {
    uint16_t check = sum(bytes, (bytes[0] & 15) * 4, 0);
    memcpy(bytes + 10, &check, 2);
  }
  return send_frame(own, gateway, family == AF_INET6 ? ETH_P_IPV6 : ETH_P_IP, bytes, size);
}

static int vlan(char **words) {
  unsigned char bytes[1500] = {0, 1, ETH_P_IP >> 8, ETH_P_IP & 0xff};
  size_t size = packet(bytes + 4, words[0], words[1], atoi(words[2]), words[3]);
  return send_frame(own, gateway, ETH_P_8021Q, bytes, size + 4);
}

static int arp(char **words) {
  static const unsigned char everybody[6] = {255, 255, 255, 255, 255, 255};
  unsigned char bytes[28] = {0, 1, 8, 0, 6, 4, 0, 2};
  memcpy(bytes + 8, own, 6);
  inet_pton(AF_INET, words[0], bytes + 14);
  memcpy(bytes + 18, gateway, 6);
  inet_pton(AF_INET, words[0], bytes + 24);
  int error = 0;
  for (int kind = 1; kind <= 2; kind++) {
    bytes[7] = kind;
    error |= send_frame(own, everybody, ETH_P_ARP, bytes, sizeof bytes);
    error |= send_frame(own, gateway, ETH_P_ARP, bytes, sizeof bytes);
  }
  return error;
}

static int advertise(char **words) {
  (void)words;
  static const unsigned char all_nodes[6] = {0x33, 0x33, 0, 0, 0, 1};
  unsigned char bytes[40 + 48];
  int error = 0;
  for (int kind = 134; kind <= 137; kind += 3) {
    memset(bytes, 0, sizeof bytes);
    size_t length = kind == 134 ? 16 + 32 : 40;
    bytes[0] = 0x60;
    bytes[5] = length;
    bytes[6] = IPPROTO_ICMPV6;
    bytes[7] = 255;
    inet_pton(AF_INET6, "fe80::bad", bytes + 8);
    inet_pton(AF_INET6, "ff02::1", bytes + 24);
    unsigned char *message = bytes + 40;
    message[0] = kind;
    if (kind == 134) {
      /* Two hours a router, and a prefix for addresses. */
      message[4] = 64;
      message[6] = 0x1c;
      message[7] = 0x20;
      message[16] = 3;
      message[17] = 4;
      message[18] = 64;
      message[19] = 0xc0;
      memset(message + 20, 0x7f, 8);
      inet_pton(AF_INET6, "2001:db8:bad::", message + 32);
    } else {
      inet_pton(AF_INET6, "fe80::bad", message + 8);
      inet_pton(AF_INET6, "2001:db8:2::10", message + 24);
    }
    uint32_t pseudo = 0;
    for (int i = 8; i < 40; i += 2) pseudo += bytes[i] << 8 | bytes[i + 1];
    uint16_t check = sum(message, length, pseudo + length + IPPROTO_ICMPV6);
    memcpy(message + 2, &check, 2);
    error |= send_frame(own, all_nodes, ETH_P_IPV6, bytes, 40 + length);
    error |= send_frame(own, gateway, ETH_P_IPV6, bytes, 40 + length);
  }
  return error;
}

static int own_mac(char **words) {
  (void)words;
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct ifreq request = {0};
  strcpy(request.ifr_name, INTERFACE);
  request.ifr_hwaddr.sa_family = 1;
  memcpy(request.ifr_hwaddr.sa_data, "\x02\x66\x66\x66\x66\x66", 6);
  return ioctl(fd, SIOCSIFHWADDR, &request) < 0 ? errno : 0;
}

/* The interface's own address, and the gateway's, which is a neighbour for good. */
static void look(void) {
  struct ifreq request = {0};
  strcpy(request.ifr_name, INTERFACE);
  if (ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCGIFHWADDR, &request) == 0) memcpy(own, request.ifr_hwaddr.sa_data, 6);
  char line[256];
  FILE *file = fopen("/proc/net/arp", "r");
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    unsigned char *mac = gateway;
    sscanf(line, "%*s %*s %*s %hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5);
  }
}

int main(int count, char **arguments) {
  static const struct {
    const char *name;
    int (*make)(char **words);
    int words;
  } kinds[] = {{"tcp", tcp, 2},   {"udp", udp, 3}, {"raw", raw, 4},           {"frame", frame, 5},
               {"flood", flood, 3}, {"hex", hex, 1}, {"vlan", vlan, 4}, {"arp", arp, 1}, {"advertise", advertise, 0}, {"own-mac", own_mac, 0}};
  look();
  for (int at = 1; at < count; at++) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
      if (strcmp(arguments[at], kinds[i].name) != 0 || at + kinds[i].words >= count) continue;
      int error = kinds[i].make(arguments + at + 1);
      printf("%s", kinds[i].name);
      for (int j = 1; j <= kinds[i].words; j++) printf(",%s", arguments[at + j]);
      printf(" %d\n", error);
      fflush(stdout);
      at += kinds[i].words;
      break;
    }
  }
  return 0;
}
