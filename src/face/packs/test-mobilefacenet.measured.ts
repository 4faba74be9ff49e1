import type { Measured } from './pack.ts'

export const measured: Measured | null = null
