// On the host, also beside a GPU: a few rows.
#include "src/train/encode_virtual_tokens.h"

#include <cmath>
#include <vector>

#include "kernels/elementwise/copy.h"
#include "src/train/host_copy.h"

namespace lora_dist {

namespace {

Stream host_stream(const Stream& stream) { return {Backend::cpu, stream.threads}; }

}  // namespace

void put_encoded_rows(const PromptEncoder& encoder, std::span<float> params, const Stream& stream) {
  const std::vector<float> rows = encode(encoder, host_copy(params, stream), host_stream(stream));
  from_host(view(std::span(rows)), view(params.first(rows.size())), stream);
}

double take_encoder_gradients(const PromptEncoder& encoder, std::span<const float> params, std::span<float> grads,
                              const Stream& stream) {
  std::vector<float> on_host = host_copy(grads, stream);
  const std::vector<float> drows(on_host.begin(), on_host.begin() + encoder.first);
  encode_backward(encoder, host_copy(params, stream), drows, on_host, host_stream(stream));
  from_host(view(std::span<const float>(on_host)), view(grads), stream);
  double squares = 0.0;
  for (const float value : std::span(on_host).subspan(static_cast<std::size_t>(encoder.first))) {
    squares += static_cast<double>(value) * static_cast<double>(value);
  }
  return std::sqrt(squares);
}

}  // namespace lora_dist
