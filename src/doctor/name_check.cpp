// Resolves the machine's name by getaddrinfo.
#include "src/doctor/name_check.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "src/comm/process.h"

namespace lora_dist {

NameFacts look_at_name(int machines) {
  NameFacts facts;
  facts.machines = machines;
  facts.host = host_name();
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int code = getaddrinfo(facts.host.c_str(), nullptr, &hints, &found); code != 0) {
    facts.problem = gai_strerror(code);
    return facts;
  }
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    std::array<char, NI_MAXHOST> text{};
    if (getnameinfo(each->ai_addr, each->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) == 0) {
      facts.addresses.emplace_back(text.data());
    }
  }
  freeaddrinfo(found);
  return facts;
}

std::vector<Finding> judge_name(const NameFacts& facts) {
  constexpr const char* kCheck = "host name";
  if (!facts.problem.empty() || facts.addresses.empty()) {
    return {warning(kCheck,
                    fmt::format("{} leads to no address ({})", facts.host, facts.problem.empty() ? "none found" : facts.problem),
                    "a line in /etc/hosts, or the cluster's DNS: MPI and NCCL wait for it at every start")};
  }
  const bool loopback = std::all_of(facts.addresses.begin(), facts.addresses.end(),
                                    [](const std::string& address) { return address.starts_with("127.") || address == "::1"; });
  if (loopback && facts.machines > 1) {
    return {warning(kCheck,
                    fmt::format("{} leads to {} alone, which other machines cannot reach", facts.host, facts.addresses[0]),
                    "give it its network address in /etc/hosts, or name the interface: OMPI_MCA_btl_tcp_if_include, "
                    "NCCL_SOCKET_IFNAME")};
  }
  return {ok(kCheck, facts.machines > 1 ? "leads to an address" : fmt::format("{} leads to {}", facts.host, facts.addresses[0]))};
}

}  // namespace lora_dist
