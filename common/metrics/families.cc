#include "common/metrics/families.h"

namespace lockstep {
namespace {

prometheus::MetricType TypeOf(MetricType type) {
  switch (type) {
    case MetricType::kGauge:
      return prometheus::MetricType::Gauge;
    case MetricType::kCounter:
      return prometheus::MetricType::Counter;
    case MetricType::kHistogram:
      return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

template <typename Labels>
void AddLabelled(prometheus::MetricFamily* family, double value, const Labels& labels) {
  prometheus::ClientMetric& metric = family->metric.emplace_back();
  metric.label.reserve(labels.size());
  for (const auto& [name, text] : labels) metric.label.push_back({name, std::string(text)});
  if (family->type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
}

}  // namespace

prometheus::MetricFamily MakeFamily(const MetricDeclaration& declaration) {
  prometheus::MetricFamily family;
  family.name = declaration.name;
  family.help = declaration.help;
  family.type = TypeOf(declaration.type);
  return family;
}

void AddSample(prometheus::MetricFamily* family, double value, const MetricLabels& labels) {
  AddLabelled(family, value, labels);
}

void AddSample(prometheus::MetricFamily* family, double value,
               std::initializer_list<std::pair<const char*, std::string_view>> labels) {
  AddLabelled(family, value, labels);
}

prometheus::Family<prometheus::Gauge>& RegisterGauge(const MetricDeclaration& declaration,
                                                     prometheus::Registry* registry) {
  return prometheus::BuildGauge().Name(declaration.name).Help(declaration.help).Register(*registry);
}

prometheus::Family<prometheus::Counter>& RegisterCounter(const MetricDeclaration& declaration,
                                                         prometheus::Registry* registry) {
  return prometheus::BuildCounter().Name(declaration.name).Help(declaration.help).Register(*registry);
}

prometheus::Family<prometheus::Histogram>& RegisterHistogram(const MetricDeclaration& declaration,
                                                             prometheus::Registry* registry) {
  return prometheus::BuildHistogram().Name(declaration.name).Help(declaration.help).Register(*registry);
}

}  // namespace lockstep
