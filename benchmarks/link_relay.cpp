// link_relay NAMESPACE DEVICE NAMESPACE DEVICE MBIT_PER_S DELAY_US: a link of that rate and delay between two network namespaces.
// It makes a TUN device in each and carries packets between them. As root, until SIGTERM. Exit code: 0; 2 for wrong arguments; 77
// if the system refuses namespaces or devices.
//
// Each direction is a line: a packet leaves when those before it have left and its own bytes (its IP header too) have passed at
// the rate, and comes out a delay later. "ready" is printed when the devices are there; the caller gives them addresses, and
// traffic control of the same rate (tbf), which keeps this program's queue short. TCP limits the queue of a device but not that
// of this program: without tbf, acknowledgements waited behind megabytes of data, and two ranks that sent to each other got half
// of the link's rate.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <string>
#include <vector>

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;  // times are in nanoseconds

constexpr int kRefused = 77;  // the exit code if the system refuses devices

volatile std::sig_atomic_t stop_asked = 0;

struct Packet {
  std::int64_t due = 0;
  std::vector<char> bytes;
};

/// One direction, between two devices.
struct Carrier {
  int from = -1;
  int to = -1;
  double ns_of_byte = 0.0;
  std::int64_t delay = 0;
  double free_at = 0.0;        // when the last packet has left
  std::deque<Packet> waiting;  // in the order in which they are due
  std::int64_t packets = 0;    // delivered
  std::int64_t bytes = 0;
  std::int64_t dropped = 0;  // that the device refused
  std::int64_t late = 0;     // after they were due, in all
};

[[noreturn]] void fail(const std::string& what) {
  const bool refused = errno == EPERM || errno == EACCES || errno == ENOENT || errno == ENODEV || errno == ENXIO;
  fmt::print(stderr, "link_relay: {}: {}\n", what, std::strerror(errno));
  std::exit(refused ? kRefused : 1);
}

std::int64_t now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * kSecond + time.tv_nsec;
}

/// A TUN device of that name in a namespace of `ip netns`. It goes when this program ends.
int make_device(const std::string& space, const std::string& name) {
  const int handle = open(("/run/netns/" + space).c_str(), O_RDONLY | O_CLOEXEC);
  if (handle < 0 || setns(handle, CLONE_NEWNET) != 0) {
    fail("entering network namespace " + space);
  }
  close(handle);
  const int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (device < 0) {
    fail("opening /dev/net/tun");
  }
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  if (ioctl(device, TUNSETIFF, &request) != 0) {
    fail("making TUN device " + name);
  }
  return device;
}

/// Takes the packets that were sent.
void take(Carrier& carrier) {
  static std::array<char, 65536> buffer;
  ssize_t length = 0;
  while ((length = read(carrier.from, buffer.data(), buffer.size())) > 0) {
    carrier.free_at = std::max(carrier.free_at, static_cast<double>(now())) + static_cast<double>(length) * carrier.ns_of_byte;
    const auto due = static_cast<std::int64_t>(carrier.free_at) + carrier.delay;
    carrier.waiting.push_back({due, {buffer.data(), buffer.data() + length}});
  }
  if (length < 0 && errno != EAGAIN && errno != EINTR) {
    fail("reading a device");  // it is gone: without an end this would spin before everything else
  }
}

/// Delivers the packets whose time has come.
void deliver(Carrier& carrier) {
  for (; !carrier.waiting.empty(); carrier.waiting.pop_front()) {
    const Packet& packet = carrier.waiting.front();
    const std::int64_t late = now() - packet.due;
    if (late < 0) {
      return;
    }
    if (write(carrier.to, packet.bytes.data(), packet.bytes.size()) > 0) {
      ++carrier.packets;
      carrier.bytes += static_cast<std::int64_t>(packet.bytes.size());
      carrier.late += late;
    } else {
      ++carrier.dropped;
    }
  }
}

/// Sleeps until a packet comes or is due.
void wait_for_packets(const std::array<Carrier, 2>& carriers) {
  std::array<pollfd, 2> devices{};
  std::int64_t left = kSecond;
  for (std::size_t i = 0; i < 2; ++i) {
    devices[i] = {carriers[i].from, POLLIN, 0};
    left = carriers[i].waiting.empty() ? left : std::clamp<std::int64_t>(carriers[i].waiting.front().due - now(), 0, left);
  }
  const timespec timeout{left / kSecond, left % kSecond};
  ppoll(devices.data(), devices.size(), &timeout, nullptr);
}

/// Raises the priority over computing processes on the same cores: a packet takes microseconds.
void come_first() {
  const sched_param lowest_of_those{1};
  if (sched_setscheduler(0, SCHED_FIFO, &lowest_of_those) != 0) {
    setpriority(PRIO_PROCESS, 0, -20);
  }
  prctl(PR_SET_TIMERSLACK, 1UL);
}

void report(const std::array<Carrier, 2>& carriers) {
  for (const Carrier& carrier : carriers) {
    fmt::print("{} packets, {} bytes, {} dropped, {:.1f} us late on average\n", carrier.packets, carrier.bytes, carrier.dropped,
               1e-3 * static_cast<double>(carrier.late) / static_cast<double>(std::max<std::int64_t>(1, carrier.packets)));
  }
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  fmt::print("{:.2f} s of a processor\n", static_cast<double>(used.tv_sec) + 1e-9 * static_cast<double>(used.tv_nsec));
}

}  // namespace

int main(int argc, char** argv) {
  const double mbit_per_s = argc == 7 ? std::atof(argv[5]) : 0.0;
  const double delay_us = argc == 7 ? std::atof(argv[6]) : -1.0;
  if (mbit_per_s <= 0.0 || delay_us < 0.0) {
    fmt::print(stderr, "link_relay NAMESPACE DEVICE NAMESPACE DEVICE MBIT_PER_S DELAY_US\n");
    return 2;
  }
  std::signal(SIGTERM, [](int) { stop_asked = 1; });
  prctl(PR_SET_PDEATHSIG, SIGTERM);  // ends with the parent process
  const std::array<int, 2> devices = {make_device(argv[1], argv[2]), make_device(argv[3], argv[4])};
  std::array<Carrier, 2> carriers;
  for (std::size_t i = 0; i < 2; ++i) {
    carriers[i].from = devices[i];
    carriers[i].to = devices[1 - i];
    carriers[i].ns_of_byte = 8e3 / mbit_per_s;
    carriers[i].delay = static_cast<std::int64_t>(1e3 * delay_us);
  }
  come_first();
  fmt::print("ready\n");
  std::fflush(stdout);
  while (stop_asked == 0) {
    for (Carrier& carrier : carriers) {
      take(carrier);
      deliver(carrier);
    }
    wait_for_packets(carriers);
  }
  report(carriers);
}
