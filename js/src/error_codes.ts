// Made by tools/gen_errors.mjs from include/ingle.h: not to be edited.

/** The statuses of the C core; that with value -i stands at i. */
export const statusNames = [
  'OK', // no error
  'ERR_USAGE', // a wrong argument, option or order of calls
  'ERR_IO', // a file could not be read or written
  'ERR_FORMAT', // a model or data file is damaged or not what it says
  'ERR_TEMPLATE', // a chat template is wrong, refuses the messages or asks too much
  'ERR_UNSUPPORTED', // a model family, tensor format or feature that is not known
  'ERR_MEMORY', // not enough memory
  'ERR_CONTEXT_FULL', // more tokens than the context holds
  'ERR_NETWORK', // a download failed
  'ERR_QUOTA', // not enough storage space
  'ERR_INTEGRITY', // bytes do not match their checksum
  'ERR_DEVICE', // the GPU or CPU lacks what is needed
  'ERR_DEVICE_LOST', // the GPU went away
  'ERR_CANCELLED', // stopped on request
  'ERR_INTERNAL', // a fault of ingle's own
  'WAIT', // the GPU has not answered yet: ask again (where a host cannot wait)
] as const

/** What `IngleError.code` can be. */
export type ErrorCode = Exclude<(typeof statusNames)[number], 'OK' | 'WAIT'>
