mod algorithms;
mod handle;
mod simulation;
