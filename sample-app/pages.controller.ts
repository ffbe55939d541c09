import { All, Controller, Query } from '@nestjs/common';

/** Everything else that a shop's site has, under the general limits alone: `/pages?path=/about`. */
@Controller('pages')
export class PagesController {
  @All()
  page(@Query('path') path = '/') {
    return { path };
  }
}
