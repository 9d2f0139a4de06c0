// An input is a GGUF file. One whose header is accepted must give the bytes of every tensor, and its documents or an error.
#include "src/core/error.h"
#include "src/io/gguf_architecture.h"
#include "src/io/gguf_model.h"
#include "tests/fuzz/fuzz_folder.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const lora_dist::FuzzFolder folder;
  const auto path = folder.write("model.gguf", {reinterpret_cast<const char*>(data), size});
  try {
    const lora_dist::GgufFile file = lora_dist::read_gguf(path);
    for (const auto& [name, tensor] : lora_dist::gguf_directory(file).tensors) {
      std::vector<std::byte> bytes(tensor.bytes);
      lora_dist::read_tensor_bytes(tensor, 0, bytes);
    }
    lora_dist::gguf_folder_files(path);
  } catch (const lora_dist::Error&) {
  }
  return 0;
}
