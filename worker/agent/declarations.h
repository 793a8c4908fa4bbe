// Every metric of lockstep-worker.
#pragma once

#include "common/metrics/declaration.h"

namespace lockstep {

inline constexpr MetricDeclaration kWorkerSlots = {"lockstep_worker_slots", MetricType::kGauge, "slots", "",
                                                   "Slots of this worker, each with a trainer process."};
inline constexpr MetricDeclaration kWorkerSlotsBusy = {"lockstep_worker_slots_busy", MetricType::kGauge,
                                                       "slots", "", "Slots that work for a job."};
inline constexpr MetricDeclaration kWorkerSlotsBroken = {"lockstep_worker_slots_broken", MetricType::kGauge,
                                                         "slots", "",
                                                         "Slots whose trainers die before they are ready."};
inline constexpr MetricDeclaration kWorkerRestarts = {
    "lockstep_worker_trainer_restarts_total", MetricType::kCounter, "processes", "",
    "Trainer processes started in place of one that ended."};
inline constexpr MetricDeclaration kWorkerHeartbeats = {"lockstep_worker_heartbeats_total",
                                                        MetricType::kCounter, "heartbeats", "",
                                                        "Heartbeats sent to the coordinator."};
inline constexpr MetricDeclaration kWorkerConnected = {"lockstep_worker_connected", MetricType::kGauge, "1",
                                                       "",
                                                       "1 while registered with the coordinator, else 0."};
inline constexpr MetricDeclaration kWorkerReconnects = {
    "lockstep_worker_reconnects_total", MetricType::kCounter, "streams", "",
    "Streams to the coordinator that broke and were opened again."};
inline constexpr MetricDeclaration kWorkerSeconds = {
    "lockstep_worker_trainer_seconds_total", MetricType::kCounter, "seconds", "kind",
    "Where the trainers' wall clock went: compute, communication, input, checkpoint."};
inline constexpr MetricDeclaration kWorkerSteps = {"lockstep_worker_steps_total", MetricType::kCounter,
                                                   "steps", "",
                                                   "Optimizer steps that trainers here took part in."};
inline constexpr MetricDeclaration kWorkerSamples = {"lockstep_worker_samples_total", MetricType::kCounter,
                                                     "samples", "",
                                                     "Training samples that trainers here went through."};
inline constexpr MetricDeclaration kWorkerDatasetBytes = {"lockstep_worker_dataset_fetched_bytes_total",
                                                          MetricType::kCounter, "bytes", "",
                                                          "Dataset bytes fetched from the coordinator."};
inline constexpr MetricDeclaration kWorkerLines = {"lockstep_worker_log_lines_total", MetricType::kCounter,
                                                   "lines", "", "Lines that trainers wrote for their jobs."};
inline constexpr MetricDeclaration kWorkerLinesDropped = {
    "lockstep_worker_log_lines_dropped_total", MetricType::kCounter, "lines", "",
    "Lines dropped because the coordinator was away for too long."};
inline constexpr MetricDeclaration kWorkerCrashes = {
    "lockstep_worker_trainer_crashes_total", MetricType::kCounter, "processes", "signal",
    "Trainers that died by themselves, by signal (none: by an exit code)."};

inline constexpr MetricDeclaration kWorkerTokens = {"lockstep_worker_tokens_total", MetricType::kCounter,
                                                    "tokens", "", "Tokens that trainers here went through."};
inline constexpr MetricDeclaration kWorkerRoundTrip = {
    "lockstep_worker_heartbeat_round_trip_seconds", MetricType::kHistogram, "seconds", "",
    "From a heartbeat to the answer of the coordinator's control thread; measured every ten seconds."};

// Of a device. What is of a job is there while the device works for it.
inline constexpr MetricDeclaration kDeviceSeconds = {
    "lockstep_worker_device_seconds_total", MetricType::kCounter, "seconds", "device, kind",
    "Where the device's wall clock went: each second belongs to one kind of compute, communication, input, "
    "checkpoint, recovery, idle (without a job, the first start, the end). A job's seconds come with its "
    "trainer's pulse, four times a second."};
inline constexpr MetricDeclaration kWorkerDeviceInfo = {
    "lockstep_worker_device_info", MetricType::kGauge, "1", "device, uuid, kind, model, job, rank",
    "Always 1; which device it is and what holds it: job and rank are empty while it is free."};
inline constexpr MetricDeclaration kDeviceMemory = {
    "lockstep_worker_device_resident_memory_bytes", MetricType::kGauge, "bytes", "device",
    "Resident memory of the device's trainer process, for a device that is a processor."};
inline constexpr MetricDeclaration kDeviceCpuSeconds = {
    "lockstep_worker_device_cpu_seconds_total", MetricType::kCounter, "seconds", "device",
    "Processor time of the device's trainer process, user and system; starts at 0 with each process."};
inline constexpr MetricDeclaration kGpuUtilization = {
    "lockstep_worker_gpu_utilization_ratio", MetricType::kGauge, "1", "device, uuid",
    "Share of the GPU's last sampling period in which a kernel ran, as the driver says."};
inline constexpr MetricDeclaration kGpuMemory = {"lockstep_worker_gpu_used_memory_bytes", MetricType::kGauge,
                                                 "bytes", "device, uuid",
                                                 "Memory of the GPU that somebody has taken."};
inline constexpr MetricDeclaration kGpuTemperature = {"lockstep_worker_gpu_temperature_celsius",
                                                      MetricType::kGauge, "degrees", "device, uuid",
                                                      "Temperature of the GPU."};
inline constexpr MetricDeclaration kGpuPower = {"lockstep_worker_gpu_power_watts", MetricType::kGauge,
                                                "watts", "device, uuid", "Power that the GPU takes."};
inline constexpr MetricDeclaration kGpuEnergy = {
    "lockstep_worker_gpu_energy_joules_total", MetricType::kCounter, "joules", "device, uuid",
    "Energy that the GPU has taken since its driver was loaded."};
inline constexpr MetricDeclaration kStepSeconds = {
    "lockstep_step_duration_seconds", MetricType::kHistogram, "seconds", "job, device",
    "What steps of the job took on this device, validations after them included."};
inline constexpr MetricDeclaration kReduceSeconds = {
    "lockstep_allreduce_duration_seconds", MetricType::kHistogram, "seconds", "job, device",
    "What the job's steps waited for the sums over the ranks, slower ranks included; not what a GPU sums "
    "beside its backward pass."};

inline const MetricTable& AgentMetrics() {
  static const auto& table = *new MetricTable{
      &kWorkerSlots,        &kWorkerSlotsBusy,  &kWorkerSlotsBroken,  &kWorkerRestarts, &kWorkerHeartbeats,
      &kWorkerConnected,    &kWorkerReconnects, &kWorkerSeconds,      &kWorkerSteps,    &kWorkerSamples,
      &kWorkerDatasetBytes, &kWorkerLines,      &kWorkerLinesDropped, &kWorkerCrashes,  &kWorkerTokens,
      &kWorkerRoundTrip,    &kDeviceSeconds,    &kWorkerDeviceInfo,   &kDeviceMemory,   &kDeviceCpuSeconds,
      &kStepSeconds,        &kReduceSeconds,    &kGpuUtilization,     &kGpuMemory,      &kGpuTemperature,
      &kGpuPower,           &kGpuEnergy};
  return table;
}

}  // namespace lockstep
