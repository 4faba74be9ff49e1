import type { employeeSchema } from '../../../src/employees/schema.ts'
import type {
  consentSchema,
  enrolledSchema,
  erasureSchema,
  photoSchema,
  processedSchema,
  templateSchema,
} from '../../../src/gallery/schema.ts'
import type { siteSchema } from '../../../src/sites/schema.ts'
import type { Answer } from '../../shared/api.ts'

export type Employee = Answer<typeof employeeSchema>
export type Photo = Answer<typeof photoSchema>
export type Template = Answer<typeof templateSchema>
export type Consent = Answer<typeof consentSchema>
export type Erasure = Answer<typeof erasureSchema>
export type Processed = Answer<typeof processedSchema>
export type Enrolled = Answer<typeof enrolledSchema>
export type PhotoVerdict = Enrolled['results'][number]
export type Site = Answer<typeof siteSchema>

/** Where the API has a person. */
export const pathOf = (employeeId: string) => `/employees/${encodeURIComponent(employeeId)}`

/** What the pages keep of a person, by what it is; all of it begins so. */
export const keyOf = (employeeId: string, ...parts: (string | number)[]) => ['employee', employeeId, ...parts]
