// The rules of PEFT, vLLM and llama.cpp for adapter folders (contract: peft 0.21.2, vllm 0.19.1 and 0.33.0, llama.cpp 0c1e5709).
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "src/core/words.h"
#include "src/model/model_config.h"

namespace lora_dist {

/// The programs that an export is for.
enum class Reader : std::uint8_t { peft, vllm, llama_cpp, gguf };
inline constexpr Words<Reader, 4> kReaders = {
    {{"peft", Reader::peft}, {"vllm", Reader::vllm}, {"llama.cpp", Reader::llama_cpp}, {"gguf", Reader::gguf}}};

/// The properties of an adapter that decide which readers take it.
struct AdapterFacts {
  std::filesystem::path folder;
  nlohmann::json config;             // adapter_config.json
  std::vector<std::string> tensors;  // names in adapter_model.safetensors
  std::int64_t rank = 0;             // the largest of a module
  std::string model_type;            // of the base, where it is known: of the model, else by the tensors' names; else empty
};

/// Throws Error(model) naming a file that is missing, damaged, or no adapter. `spec`: of the base model; null: not given.
AdapterFacts read_adapter_facts(const std::filesystem::path& folder, const ModelSpec* spec);

/// `as_is`: the reader loads this folder (llama.cpp: its converter) and computes the same. `exported`: what `export` writes for
/// it does. `no`: neither.
enum class Fit : std::uint8_t { as_is, exported, no };
struct ReaderVerdict {
  Fit fit = Fit::as_is;
  std::string reason;  // a clause: why not, and for `no` what to do; may be empty for `as_is`
};
ReaderVerdict verdict_of(Reader reader, const AdapterFacts& facts);

/// True if nothing in it keeps this program from reading it, as far as keys and names of tensors show.
bool is_readable(const AdapterFacts& facts);

}  // namespace lora_dist
