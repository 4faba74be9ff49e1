import { z } from 'zod'
import { optionalText, rowNumber, text } from '../shared/http.ts'
import { pageQuery, sortBy } from '../shared/paging.ts'
import { isNetwork, timeZone } from '../shared/places.ts'

const network = z
  .string()
  .trim()
  .max(64)
  .refine(isNetwork, { error: 'must be an address or a block of them such as 192.168.1.0/24' })

const networks = z
  .array(network)
  .max(100)
  .transform((list) => [...new Set(list)])
  .describe('Addresses and CIDR blocks that the kiosks of the site call from; empty means any')

const zone = timeZone.nullable().describe("IANA name; null means the server's TIME_ZONE")

const requireConsent = z
  .boolean()
  .describe('Whether nobody of this site is enrolled without a consent on record')
const keepPictures = z.boolean().describe('Whether the pictures of check-ins at this site are kept')
const padModelEnough = z
  .boolean()
  .describe(
    "Whether kiosks that enforce presentation attack detection take an installed network's word for it, without a challenge",
  )
const pinAllowed = z
  .boolean()
  .describe('Whether kiosks of the site take an employee code with its PIN instead of a face')
const pictureDays = z.int().min(1).max(3650).describe('For how many days they are kept')

export const newSiteSchema = z.object({
  name: text(200),
  time_zone: zone.default(null),
  allowed_networks: networks.default([]),
  require_consent: requireConsent.default(true),
  keep_pictures: keepPictures.default(false),
  picture_days: pictureDays.default(30),
  pad_model_enough: padModelEnough.default(false),
  pin_allowed: pinAllowed.default(false),
})

export const siteChangesSchema = z.object({
  name: text(200).optional(),
  time_zone: zone.optional(),
  allowed_networks: networks.optional(),
  require_consent: requireConsent.optional(),
  keep_pictures: keepPictures.optional(),
  picture_days: pictureDays.optional(),
  pad_model_enough: padModelEnough.optional(),
  pin_allowed: pinAllowed.optional(),
})

export const siteSchema = z
  .object({
    id: z.number(),
    name: z.string(),
    time_zone: zone,
    allowed_networks: z.array(z.string()),
    require_consent: requireConsent,
    keep_pictures: keepPictures,
    picture_days: pictureDays,
    pad_model_enough: padModelEnough,
    pin_allowed: pinAllowed,
    version: z.number().describe('Also the ETag; send it back as If-Match with a change'),
    created_at: z.date(),
    updated_at: z.date(),
  })
  .meta({ id: 'Site' })

export const sitePath = z.object({ site_id: rowNumber('a site') })

export const siteQuery = pageQuery.extend({
  search: optionalText(100).describe('Words that occur in the name; accents and case do not matter'),
  sort: sortBy('name', 'created_at').describe('`-` turns it round. Oldest entry first by default'),
})
export const siteDeleted = z.object({ message: z.string() })

export type NewSite = z.infer<typeof newSiteSchema>
export type SiteChanges = z.infer<typeof siteChangesSchema>
export type SiteQuery = z.infer<typeof siteQuery>
export type Site = z.infer<typeof siteSchema>
