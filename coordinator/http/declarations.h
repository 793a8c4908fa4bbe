// Every metric of lockstep-coordinator. What is of a job or a rank is there while the job is active: no
// series outlives its job.
#pragma once

#include "common/metrics/declaration.h"

namespace lockstep {

// Of the whole service.
inline constexpr MetricDeclaration kJobs = {"lockstep_jobs", MetricType::kGauge, "jobs", "state",
                                            "Jobs known, by state."};
inline constexpr MetricDeclaration kQueueJobs = {"lockstep_queue_jobs", MetricType::kGauge, "jobs", "",
                                                 "Jobs that wait for devices."};
inline constexpr MetricDeclaration kWorkers = {"lockstep_workers", MetricType::kGauge, "workers", "state",
                                               "Workers known, by state."};
inline constexpr MetricDeclaration kDevices = {"lockstep_devices", MetricType::kGauge, "devices", "",
                                               "Devices of the connected workers."};
inline constexpr MetricDeclaration kDevicesBusy = {"lockstep_devices_busy", MetricType::kGauge, "devices", "",
                                                   "Devices that a job holds."};
inline constexpr MetricDeclaration kDevicesWanted = {
    "lockstep_devices_wanted", MetricType::kGauge, "devices", "",
    "Devices that the jobs that wait or run would take at most: the sum of their workers.max, or of what "
    "they were scaled to."};
inline constexpr MetricDeclaration kSubmits = {"lockstep_submits_total", MetricType::kCounter, "jobs", "",
                                               "Jobs accepted."};
inline constexpr MetricDeclaration kSteps = {"lockstep_steps_total", MetricType::kCounter, "steps", "",
                                             "Optimizer steps done, over all jobs."};
inline constexpr MetricDeclaration kCheckpoints = {"lockstep_checkpoints_total", MetricType::kCounter,
                                                   "checkpoints", "", "Checkpoints written."};
inline constexpr MetricDeclaration kCheckpointFailures = {"lockstep_checkpoint_failures_total",
                                                          MetricType::kCounter, "checkpoints", "",
                                                          "Checkpoints that could not be written."};
inline constexpr MetricDeclaration kTrainerCrashes = {"lockstep_trainer_crashes_total", MetricType::kCounter,
                                                      "processes", "",
                                                      "Trainer processes that died on the job."};
inline constexpr MetricDeclaration kLastSchedule = {"lockstep_last_schedule_seconds", MetricType::kGauge,
                                                    "seconds", "",
                                                    "Time that the last scheduling decision took."};
inline constexpr MetricDeclaration kRpcs = {"lockstep_rpcs_total", MetricType::kCounter, "calls",
                                            "method, code", "Calls answered, by method and status code."};
inline constexpr MetricDeclaration kRpcSeconds = {
    "lockstep_rpc_duration_seconds", MetricType::kHistogram, "seconds", "method, code",
    "Time from a call's arrival to its status, by method and status code; for a stream, its life."};

inline constexpr MetricDeclaration kConnections = {
    "lockstep_connections", MetricType::kGauge, "connections", "",
    "Connections of clients and workers to the API; one that was closed counts for a second more."};
inline constexpr MetricDeclaration kConnectionsRefused = {
    "lockstep_connections_refused_total", MetricType::kCounter, "connections", "reason",
    "Connections that were closed before they reached the API, by reason: full (--max-connections), "
    "peer_full "
    "(--max-connections-per-peer), silent (said nothing for 10 s, or too many did)."};

// Of the autoscaler, where there is one.
inline constexpr MetricDeclaration kAutoscaleReplicas = {"lockstep_autoscale_replicas", MetricType::kGauge,
                                                         "workers", "",
                                                         "Workers that the autoscaler asked for last."};
inline constexpr MetricDeclaration kAutoscaleChanges = {
    "lockstep_autoscale_changes_total", MetricType::kCounter, "changes", "",
    "Changes of the number of workers that the cluster took."};
inline constexpr MetricDeclaration kAutoscaleFailures = {
    "lockstep_autoscale_failures_total", MetricType::kCounter, "rounds", "",
    "Rounds in which the cluster did not answer or refused; they are tried again."};

// Of each sink of tracking that is in use.
inline constexpr MetricDeclaration kTrackingLag = {
    "lockstep_tracking_lag_points", MetricType::kGauge, "points", "sink",
    "Metric points that the sink has still to get; none is lost while it is down."};
inline constexpr MetricDeclaration kTrackingPoints = {"lockstep_tracking_points_total", MetricType::kCounter,
                                                      "points", "sink", "Metric points that the sink took."};
inline constexpr MetricDeclaration kTrackingRefused = {
    "lockstep_tracking_refused_points_total", MetricType::kCounter, "points", "sink",
    "Metric points of jobs that the sink will not take, as of a run that somebody deleted there."};
inline constexpr MetricDeclaration kTrackingFailures = {"lockstep_tracking_failures_total",
                                                        MetricType::kCounter, "rounds", "sink",
                                                        "Rounds that failed and are tried again."};

// Of a namespace: the oldest 200 by name, the others together as "(others)".
inline constexpr MetricDeclaration kNamespaceJobs = {"lockstep_namespace_jobs", MetricType::kGauge, "jobs",
                                                     "namespace", "Unfinished jobs of a namespace."};
inline constexpr MetricDeclaration kNamespaceQueued = {
    "lockstep_namespace_queued_jobs", MetricType::kGauge, "jobs", "namespace",
    "Jobs of a namespace that wait for devices or for its quota of them."};
inline constexpr MetricDeclaration kNamespaceDevices = {
    "lockstep_namespace_devices", MetricType::kGauge, "devices", "namespace",
    "Devices that a namespace's jobs hold, as its quota counts them."};
inline constexpr MetricDeclaration kNamespaceStorage = {
    "lockstep_namespace_storage_bytes", MetricType::kGauge, "bytes", "namespace",
    "What a namespace's checkpoints and models take, as workers reported them."};
inline constexpr MetricDeclaration kNamespaceJobsQuota = {
    "lockstep_namespace_quota_jobs", MetricType::kGauge, "jobs", "namespace",
    "Unfinished jobs that a namespace may have; there is none without such a quota."};
inline constexpr MetricDeclaration kNamespaceDevicesQuota = {
    "lockstep_namespace_quota_devices", MetricType::kGauge, "devices", "namespace",
    "Devices that a namespace may use at once; there is none without such a quota."};
inline constexpr MetricDeclaration kNamespaceStorageQuota = {
    "lockstep_namespace_quota_storage_bytes", MetricType::kGauge, "bytes", "namespace",
    "What a namespace's checkpoints and models may take; there is none without such a quota."};

// Of a worker or one of its devices.
inline constexpr MetricDeclaration kHeartbeatAge = {
    "lockstep_heartbeat_age_seconds", MetricType::kGauge, "seconds", "worker",
    "Time since the worker was last heard; it grows while the worker is lost."};
inline constexpr MetricDeclaration kDeviceInfo = {
    "lockstep_device_info", MetricType::kGauge, "1", "worker, device, uuid, kind, model, job, rank",
    "Always 1; which device it is and what holds it: job and rank are empty while it is free."};
inline constexpr MetricDeclaration kDeviceCordoned = {
    "lockstep_device_cordoned", MetricType::kGauge, "1", "worker, device",
    "1 while the device is out of service, by hand or by quarantine, else 0."};

// Of an active job: one that is starting, running or recovering.
inline constexpr MetricDeclaration kJobInfo = {"lockstep_job_info", MetricType::kGauge, "1",
                                               "job, name, state",
                                               "Always 1; name and state of an active job."};
inline constexpr MetricDeclaration kJobStart = {"lockstep_job_start_timestamp_seconds", MetricType::kGauge,
                                                "Unix seconds", "job",
                                                "When an active job did its first step."};
inline constexpr MetricDeclaration kJobStep = {"lockstep_job_step", MetricType::kGauge, "steps", "job",
                                               "Optimizer steps that an active job has done."};
inline constexpr MetricDeclaration kJobSteps = {"lockstep_job_steps_planned", MetricType::kGauge, "steps",
                                                "job", "Optimizer steps that an active job is to do."};
inline constexpr MetricDeclaration kJobEpoch = {"lockstep_job_epoch", MetricType::kGauge, "epochs", "job",
                                                "Epochs that an active job has done, with fraction."};
inline constexpr MetricDeclaration kJobSamples = {"lockstep_job_samples_per_second", MetricType::kGauge,
                                                  "samples per second", "job",
                                                  "Training samples per second of an active job."};
inline constexpr MetricDeclaration kJobTrainLoss = {"lockstep_job_train_loss", MetricType::kGauge, "loss",
                                                    "job", "Last training loss of an active job."};
inline constexpr MetricDeclaration kJobValidationLoss = {
    "lockstep_job_validation_loss", MetricType::kGauge, "loss", "job",
    "Last validation loss of an active job that has had a validation."};
inline constexpr MetricDeclaration kJobRanks = {"lockstep_job_ranks", MetricType::kGauge, "ranks", "job",
                                                "Devices that an active job trains on."};
inline constexpr MetricDeclaration kJobGeneration = {
    "lockstep_job_generation", MetricType::kGauge, "generations", "job",
    "Number of an active job's generation: a new one for each member that is lost, joins or leaves."};
inline constexpr MetricDeclaration kJobCheckpoint = {
    "lockstep_job_last_checkpoint_timestamp_seconds", MetricType::kGauge, "Unix seconds", "job",
    "When an active job's newest durable checkpoint was written; absent before the first one."};
inline constexpr MetricDeclaration kJobDeviceSeconds = {
    "lockstep_job_device_seconds_total", MetricType::kCounter, "seconds", "job, kind",
    "Where the wall clock of an active job's devices went: each second of each device belongs to one kind of "
    "compute, communication, input, checkpoint, recovery (between generations, and what a dead trainer took "
    "with it), idle (the first start, the end). Kept with the job: a restart of the coordinator neither "
    "resets "
    "nor repeats anything, and what devices did meanwhile comes with their next report. Reports come every "
    "two "
    "seconds."};
inline constexpr MetricDeclaration kJobSamplesTotal = {
    "lockstep_job_samples_total", MetricType::kCounter, "samples", "job",
    "Training samples that an active job's devices went through, those of steps done again included; kept "
    "with "
    "the job."};
inline constexpr MetricDeclaration kJobTokensTotal = {"lockstep_job_tokens_total", MetricType::kCounter,
                                                      "tokens", "job",
                                                      "The same in tokens; 0 for a job that reads none."};
inline constexpr MetricDeclaration kJobEnergy = {
    "lockstep_job_energy_joules_total", MetricType::kCounter, "joules", "job",
    "Energy that the job's GPUs took for it, as they measure themselves."};
inline constexpr MetricDeclaration kJobLostSteps = {
    "lockstep_job_lost_steps_total", MetricType::kCounter, "steps", "job",
    "Optimizer steps of an active job that were lost with a generation and had to be done again: the one "
    "under "
    "way, and those since the checkpoint where one was restored; kept with the job."};
inline constexpr MetricDeclaration kJobRestarts = {
    "lockstep_job_restarts_total", MetricType::kCounter, "generations", "job, reason",
    "Generations of an active job that broke, by reason: trainer_crashed, trainer_failed, trainer_stopped, "
    "trainer_missing, corrupt, worker_lost, vacated, connection_lost, no_step, coordinator_restarted; kept "
    "with "
    "the job."};
inline constexpr MetricDeclaration kJobStragglerRatio = {
    "lockstep_job_straggler_ratio", MetricType::kGauge, "1", "job",
    "What a step takes the slowest rank of a running job, without communication, over the median of its "
    "ranks; "
    "for at least two ranks."};
inline constexpr MetricDeclaration kQueueWait = {
    "lockstep_queue_wait_seconds", MetricType::kHistogram, "seconds", "",
    "How long jobs waited in the queue before they were started."};
inline constexpr MetricDeclaration kRankStep = {"lockstep_rank_step_seconds", MetricType::kGauge, "seconds",
                                                "job, rank, worker, device, kind",
                                                "What a step takes a rank on average, of running jobs, by "
                                                "kind: input, compute, communication, checkpoint."};
inline constexpr MetricDeclaration kRankStraggler = {
    "lockstep_rank_straggler", MetricType::kGauge, "1", "job, rank, worker, device",
    "1 for a rank that the others wait for, else 0; of running jobs."};

inline const MetricTable& CoordinatorMetrics() {
  static const auto& table = *new MetricTable{&kJobs,
                                              &kQueueJobs,
                                              &kWorkers,
                                              &kDevices,
                                              &kDevicesBusy,
                                              &kSubmits,
                                              &kSteps,
                                              &kCheckpoints,
                                              &kCheckpointFailures,
                                              &kTrainerCrashes,
                                              &kLastSchedule,
                                              &kRpcs,
                                              &kRpcSeconds,
                                              &kConnections,
                                              &kConnectionsRefused,
                                              &kHeartbeatAge,
                                              &kDeviceInfo,
                                              &kDeviceCordoned,
                                              &kJobInfo,
                                              &kJobStart,
                                              &kJobStep,
                                              &kJobSteps,
                                              &kJobEpoch,
                                              &kJobSamples,
                                              &kJobTrainLoss,
                                              &kJobValidationLoss,
                                              &kJobRanks,
                                              &kJobGeneration,
                                              &kJobCheckpoint,
                                              &kRankStep,
                                              &kRankStraggler,
                                              &kTrackingLag,
                                              &kTrackingPoints,
                                              &kTrackingRefused,
                                              &kTrackingFailures,
                                              &kDevicesWanted,
                                              &kAutoscaleReplicas,
                                              &kAutoscaleChanges,
                                              &kAutoscaleFailures,
                                              &kJobDeviceSeconds,
                                              &kJobSamplesTotal,
                                              &kJobTokensTotal,
                                              &kJobEnergy,
                                              &kJobLostSteps,
                                              &kJobRestarts,
                                              &kJobStragglerRatio,
                                              &kQueueWait,
                                              &kNamespaceJobs,
                                              &kNamespaceQueued,
                                              &kNamespaceDevices,
                                              &kNamespaceStorage,
                                              &kNamespaceJobsQuota,
                                              &kNamespaceDevicesQuota,
                                              &kNamespaceStorageQuota};
  return table;
}

}  // namespace lockstep
