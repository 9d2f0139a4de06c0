// Writes and reads the record.
#include "src/adapter/adapter_origin.h"

#include <fmt/format.h>

#include "kernels/common/block_size.h"
#include "src/adapter/adapter_folders.h"
#include "src/core/error.h"
#include "src/io/strict_json.h"

namespace lora_dist {

namespace {

constexpr const char* kKey = "base_format";

}  // namespace

nlohmann::json json_of(const BaseFormat& format) {
  return {{"quantization", name_of(format.quantization)}, {"double_quant", format.nested()}, {"block_size", format.block_size}};
}

std::optional<BaseFormat> base_format_in(const nlohmann::json& origin, const std::filesystem::path& location) {
  if (!origin.is_object() || !origin.contains(kKey)) {
    return std::nullopt;
  }
  const nlohmann::json& record = origin[kKey];
  try {
    const BaseFormat format = base_format(record.at("quantization").get<std::string>(), record.at("double_quant").get<bool>(),
                                          record.at("block_size").get<std::int64_t>());
    if (!record.at("block_size").is_number_integer() || !is_block_size(format.block_size)) {
      throw Error(ExitCode::usage,
                  fmt::format("block_size is {}, which is out of range", record.at("block_size").dump().substr(0, 40)));
    }
    return format;
  } catch (const nlohmann::json::exception&) {
    throw Error(ExitCode::model,
                fmt::format("{}: {} must hold quantization, double_quant and block_size", location.string(), kKey));
  } catch (const Error& error) {
    throw Error(ExitCode::model, fmt::format("{}: {}: {}", location.string(), kKey, error.what()));
  }
}

std::optional<BaseFormat> recorded_base_format(const std::filesystem::path& adapter) {
  const std::filesystem::path file = adapter_folders(adapter).front() / kOriginFile;
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) {
    return std::nullopt;
  }
  return base_format_in(read_json_file(file, ExitCode::model), file);
}

bool makes_up_for_quantization(const std::filesystem::path& adapter) {
  const std::filesystem::path file = adapter_folders(adapter).front() / kOriginFile;
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) {
    return false;
  }
  const nlohmann::json origin = read_json_file(file, ExitCode::model);
  return origin.is_object() && origin.value(kInitKey, nlohmann::json()) == word_of(kLoraInits, LoraInit::loftq);
}

void check_folders_belong_together(const std::filesystem::path& folder, std::span<const std::filesystem::path> folders) {
  if (folders.front() == folder) {
    return;
  }
  std::string first;
  for (const std::filesystem::path& each : folders) {
    const nlohmann::json origin = read_json_file(each / kOriginFile, ExitCode::model);
    std::string methods = origin.is_object() ? origin.value(kMethodsKey, std::string()) : "";
    for (const std::filesystem::path& other : folders) {  // ["lora", "bottleneck"]
      const std::string name = fmt::format("\"{}\"", other.filename().string());
      if (const std::size_t at = methods.find(name); at != std::string::npos) {
        methods.erase(at, name.size());
      } else {
        methods += name;
      }
    }
    if (methods.find('"') != std::string::npos) {
      throw Error(
          ExitCode::model,
          fmt::format("{}: its folders are not those of the methods that were trained together, of which {} records {}; only "
                      "together they are what was trained. Take another copy, or give one folder alone",
                      folder.string(), (each / kOriginFile).string(), origin.value(kMethodsKey, nlohmann::json()).dump()));
    }
    const std::string run =
        origin.value("configuration_digest", nlohmann::json()).dump() + origin.value("step", nlohmann::json()).dump();
    if (first.empty()) {
      first = run;
    } else if (run != first) {
      throw Error(ExitCode::model,
                  fmt::format("{}: {} is of another run or step than {}; take another copy, or give one folder alone",
                              folder.string(), each.filename().string(), folders.front().filename().string()));
    }
  }
}

}  // namespace lora_dist
