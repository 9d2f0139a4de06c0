// Base stores to damage.
#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <stdexcept>

#include "src/convert/write_base_store.h"
#include "src/io/base_store.h"
#include "tests/soak/specimens.h"
#include "tests/support/source_dir.h"

namespace lora_dist::soak {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kChunk = 256 << 10;  // bytes, of a store's datasets
constexpr std::size_t kChecksum = 4;

/// All that a reader may take from a store.
struct Content {
  std::map<std::string, std::string> tensors;  // type, shape and bytes
  std::string made_from;
  bool operator==(const Content&) const = default;
};

/// Bytes [from, to) of a tensor.
void read_part(const TensorInfo& tensor, std::uint64_t from, std::uint64_t to, std::string& bytes) {
  read_tensor_bytes(tensor, from, std::as_writable_bytes(std::span(bytes)).subspan(from, to - from));
}

/// Each tensor in three parts, as ranks read theirs.
Content content_of(const fs::path& folder) {
  Content content;
  const TensorDirectory directory = read_model_directory(folder);
  content.made_from = directory.metadata.at("made_from");
  for (const auto& [name, tensor] : directory.tensors) {
    std::string bytes(tensor.bytes, '\0');
    const std::uint64_t third = tensor.bytes / 3;
    read_part(tensor, 2 * third, tensor.bytes, bytes);
    read_part(tensor, 0, third, bytes);
    read_part(tensor, third, 2 * third, bytes);
    std::string shape(name_of(tensor.dtype));
    for (const std::int64_t dim : tensor.shape) {
      shape += " " + std::to_string(dim);
    }
    content.tensors[name] = shape + ":" + bytes;
  }
  return content;
}

/// True if `inspect --verify` would be content.
bool is_verified(const fs::path& folder) {
  try {
    return base_store_problems(folder / kBaseStoreFile).empty();
  } catch (const Error&) {
    return false;
  }
}

/// `other`: of the store that lends its bytes. Where all of them came from there nothing in the file can tell.
Verdict judge(const fs::path& folder, const Content& sound, const Content& other) {
  const bool verified = is_verified(folder);
  try {
    const Content content = content_of(folder);
    const bool same = content == sound || content == other;
    if (verified && !same) {
      throw std::runtime_error("base_store_problems finds nothing in a store of another content");
    }
    return same ? Verdict::same : Verdict::different;
  } catch (const Error& error) {
    if (error.code() != ExitCode::model) {
      throw std::runtime_error(std::string("the store: ") + error.what());
    }
    return Verdict::refused;
  }
}

/// Where the chunks of the tensors lie, each with its checksum.
std::vector<Piece> chunks_of(const std::string& file, const Content& content) {
  std::vector<Piece> pieces;
  for (const auto& [name, text] : content.tensors) {
    const std::string bytes = text.substr(text.find(':') + 1);
    for (std::size_t at = 0; at < bytes.size(); at += kChunk) {
      const std::string chunk = bytes.substr(at, kChunk);
      if (const std::size_t offset = file.find(chunk); offset != std::string::npos && chunk.size() > 64) {
        pieces.push_back({offset, chunk.size() + kChecksum});
      }
    }
  }
  return pieces;
}

void write_large_store(const fs::path& folder, int seed) {
  fs::create_directories(folder);
  BaseStoreWriter store(folder / kBaseStoreFile);
  std::string bytes(3 * kChunk, '\0');
  for (std::size_t i = kChunk / 2; i < bytes.size(); ++i) {  // some of it zeros
    bytes[i] = static_cast<char>((i * i + static_cast<std::size_t>(seed)) >> 7);
  }
  for (const char* name : {"model.embed.weight", "model.head.weight"}) {
    store.add(name, DType::u8, {static_cast<std::int64_t>(bytes.size())}, std::as_bytes(std::span(bytes)));
    std::reverse(bytes.begin(), bytes.end());
  }
  store.close("{\"seed\": " + std::to_string(seed) + "}");
}

Specimen specimen(const std::string& name, const fs::path& folder, const fs::path& donor, std::size_t share) {
  const Content sound = content_of(folder);
  Specimen made{name,
                folder / kBaseStoreFile,
                {get_file(folder / kBaseStoreFile), get_file(donor / kBaseStoreFile), {}},
                share,
                [=, other = content_of(donor)] { return judge(folder, sound, other); }};
  made.material.pieces = chunks_of(made.material.sound, sound);
  return made;
}

}  // namespace

std::vector<Specimen> store_specimens(const fs::path& folder) {
  const fs::path model = source_dir() / "tests/golden/families/llama3";
  for (const bool nested : {false, true}) {
    const fs::path store = folder / (nested ? "nested" : "plain");
    fs::create_directories(store);
    write_base_store(model, store, base_format("nf4", nested, 64), Stream{}, [](std::int64_t, std::int64_t) {});
  }
  write_large_store(folder / "large", 1);
  write_large_store(folder / "other", 2);
  return {specimen("base store", folder / "plain", folder / "nested", 12),
          specimen("base store, nested scales", folder / "nested", folder / "plain", 12),
          specimen("base store of several chunks", folder / "large", folder / "other", 2)};
}

}  // namespace lora_dist::soak
