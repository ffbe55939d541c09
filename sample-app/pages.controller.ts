import { All, Controller, Query } from '@nestjs/common';

/** All other pages of a shop's site, under only the general limits: `/pages?path=/about`. */
@Controller('pages')
export class PagesController {
  @All()
  page(@Query('path') path = '/') {
    return { path };
  }
}
