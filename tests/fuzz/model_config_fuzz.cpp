// An input is a config.json.
#include "src/core/error.h"
#include "src/model/model_config.h"
#include "tests/fuzz/fuzz_folder.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const lora_dist::FuzzFolder folder;
  folder.write("config.json", {reinterpret_cast<const char*>(data), size});
  try {
    lora_dist::read_model_config(folder.path());
  } catch (const lora_dist::Error&) {
  }
  return 0;
}
