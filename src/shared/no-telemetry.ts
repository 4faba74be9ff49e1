// ONNX Runtime makes an id of the machine in its user's home and sends what it is used for to Microsoft, unless this is
// set before it is loaded; its library asks the process and not us, so no option of ours reaches it. In a worker thread
// process.env is a copy: the main thread has to import this too.
process.env.ORT_DISABLE_TELEMETRY = '1'
