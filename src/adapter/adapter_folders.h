// The folders of an adapter: one, or one for each of several methods that were trained together.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "src/core/choices.h"

namespace lora_dist {

/// The folder of one of the methods: `folder` itself if the method is alone.
std::filesystem::path folder_of_method(const std::filesystem::path& folder, const MethodChoice& methods, Method method);

/// `folder`; if it holds no adapter, but folders of methods do, those in the order of MethodChoice.
std::vector<std::filesystem::path> adapter_folders(const std::filesystem::path& folder);

/// Why the folder holds no adapter of one method, and what to give: a sentence.
std::string why_no_adapter(const std::filesystem::path& folder);

}  // namespace lora_dist
