// An input is a safetensors file. If the header is accepted, every tensor must be readable.
#include "src/core/error.h"
#include "src/io/safetensors.h"
#include "tests/fuzz/fuzz_folder.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const lora_dist::FuzzFolder folder;
  const auto file = folder.write("model.safetensors", {reinterpret_cast<const char*>(data), size});
  try {
    const lora_dist::TensorDirectory directory = lora_dist::read_safetensors_header(file);
    for (const auto& [name, tensor] : directory.tensors) {
      std::vector<std::byte> bytes(tensor.bytes);
      lora_dist::read_tensor_bytes(tensor, 0, bytes);
    }
  } catch (const lora_dist::Error&) {
  }
  return 0;
}
