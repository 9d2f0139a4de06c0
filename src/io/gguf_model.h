// A GGUF file seen as the Hugging Face folder that it was made from: its configuration and tokenizer as the documents of one.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "src/io/gguf.h"

namespace lora_dist {

/// The GGUF file that a model path names: itself, or the one of a folder that has no safetensors and no base store (of a split
/// file the first part). Nothing: it names none. Throws Error(model) where a folder has several.
std::optional<std::filesystem::path> find_gguf(const std::filesystem::path& model);

/// The equivalent of config.json. Throws Error(model): a key is missing or of the wrong kind, the vocabulary and the embedding do
/// not fit each other, rope_freqs is not known.
nlohmann::ordered_json gguf_config(const GgufFile& file);

/// True if there is a vocabulary in the file.
bool has_gguf_tokenizer(const GgufFile& file);
/// The equivalent of tokenizer.json: BPE of bytes, or of characters with byte fallback (of sentencepiece). Throws Error(model):
/// no tokens, lists that do not fit each other, text that is no UTF-8, a tokenizer.ggml.model or tokenizer.ggml.pre that is not
/// known.
nlohmann::json gguf_tokenizer(const GgufFile& file);
/// The equivalent of tokenizer_config.json, with chat templates. Throws Error(model) likewise.
nlohmann::ordered_json gguf_tokenizer_config(const GgufFile& file);

/// The files of the folder but the weights, by their names.
std::map<std::string, std::string> gguf_folder_files(const std::filesystem::path& gguf);

/// config.json of a model folder, or what stands for it, as text.
std::string model_config_text(const std::filesystem::path& model);

}  // namespace lora_dist
