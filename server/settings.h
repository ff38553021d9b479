#pragma once
// The settings of `quire serve`, one row each: name, help, and how its text becomes a value. Flags,
// environment and config file all go through this table, so a setting is written once.

#include <span>
#include <string>
#include <string_view>

#include "server/config.h"

namespace quire::server {

struct SettingSpec {
  std::string_view name;     // --NAME, QUIRE_NAME, NAME = ...
  std::string_view metavar;  // empty: a switch, whose value is true or false
  std::string_view help;
  std::string_view shown_default;
  // Stores the value; returns what is wrong with it ("must be ..."), or nothing.
  std::string (*store)(ServeConfig& config, const std::string& value);
};

[[nodiscard]] std::span<const SettingSpec> serve_settings();
// "QUIRE_MAX_MODEL_LEN" of "max-model-len".
[[nodiscard]] std::string environment_name(std::string_view setting);

}  // namespace quire::server
