import { z } from 'zod'

const kinds: Record<string, string> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
}

// What a schema says of a wrong value, for all schemas that do not say it themselves: what it must be, in plain words.
z.config({
  customError: (issue) => {
    switch (issue.code) {
      case 'invalid_type':
        if (issue.input === undefined) return 'is required'
        return `must be ${kinds[issue.expected] ?? `of type ${issue.expected}`}`
      case 'invalid_value':
        return `must be ${issue.values.map(String).join(' or ')}`
      case 'too_big':
        if (issue.origin === 'array') return `must have at most ${entries(issue.maximum)}`
        return `must be ${issue.inclusive === false ? 'below' : 'at most'} ${issue.maximum}${issue.origin === 'string' ? ' characters long' : ''}`
      case 'too_small':
        if (issue.origin === 'array') return `must have at least ${entries(issue.minimum)}`
        return `must be ${issue.inclusive === false ? 'above' : 'at least'} ${issue.minimum}${issue.origin === 'string' ? ' characters long' : ''}`
      case 'invalid_format':
        return issue.format === 'datetime'
          ? 'must be a time such as 2025-03-03T08:00:00+07:00'
          : `is not a valid ${issue.format}`
      case 'unrecognized_keys':
        return `must not have ${issue.keys.join(', ')}`
      case 'invalid_union':
        return 'is of a kind that is not taken'
      default:
        return 'is not valid'
    }
  },
})

function entries(count: number | bigint): string {
  return Number(count) === 1 ? 'one entry' : `${count} entries`
}
