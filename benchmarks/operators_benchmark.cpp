// Measures every operator of the list on the GPU, compared with the device's copy and product rates in the same run.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "kernels/common/device.h"
#include "tests/operators/operator_case.h"

namespace lora_dist {
namespace {

using operators::OperatorCase;
using operators::PlacedCase;

constexpr int kCalls = 20;
constexpr int kRounds = 5;

/// Best seconds of a call over the rounds, launches of a round back to back.
double seconds_of(const OperatorCase& c, const Stream& stream, DType dtype, double& bytes) {
  const PlacedCase placed(c, stream, dtype, dtype);
  bytes = placed.bytes();
  placed.call();  // chooses algorithms
  synchronize(stream);
  double best = 1e30;
  for (int round = 0; round < kRounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (int call = 0; call < kCalls; ++call) {
      placed.call();
    }
    synchronize(stream);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / kCalls);
  }
  return best;
}

/// The first case of that name, with which the others are compared.
double reference_rate(const std::vector<OperatorCase>& cases, const std::string& name, const Stream& stream) {
  const auto found = std::find_if(cases.begin(), cases.end(), [&](const OperatorCase& c) { return c.name == name; });
  double bytes = 0.0;
  const double seconds = seconds_of(*found, stream, DType::bf16, bytes);
  return (found->flops > 0.0 ? found->flops : bytes) / seconds;
}

int run() {
  if (device_count() == 0) {
    fmt::print("skipped: no device ({})\n", why_no_device());
    return 0;
  }
  const DeviceInfo device = use_device(0);
  Stream stream = make_device_stream();
  const std::vector<OperatorCase> cases = operators::operator_cases(operators::Size::benchmark);
  const double copy_rate = reference_rate(cases, "copy", stream);
  const double product_rate = reference_rate(cases, "matmul x W^T", stream);
  fmt::print("{}: copy {:.0f} GB/s (read and written), bf16 product {:.0f} TFLOP/s\n\n", device.name, copy_rate / 1e9,
             product_rate / 1e12);
  fmt::print("| operator (bf16) | shape | microseconds | rate | of the device's own |\n|---|---|---|---|---|\n");
  for (const OperatorCase& c : cases) {
    double bytes = 0.0;
    const double seconds = seconds_of(c, stream, DType::bf16, bytes);
    const bool product = c.flops > 0.0;
    const double rate = (product ? c.flops : bytes) / seconds;
    fmt::print("| {} | {} | {:.1f} | {:.0f} {} | {:.0f} % |\n", c.name, c.shape, seconds * 1e6, rate / (product ? 1e12 : 1e9),
               product ? "TFLOP/s" : "GB/s", 100.0 * rate / (product ? product_rate : copy_rate));
    std::fflush(stdout);
  }
  destroy_device_stream(stream);
  return 0;
}

}  // namespace
}  // namespace lora_dist

int main() {
  try {
    return lora_dist::run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "operators_benchmark: %s\n", error.what());
    return 1;
  }
}
